// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// restWithin bounds the wait for rest. What takes longer is a loss.
	restWithin = 90 * time.Second
	// holdLook is how long something that should be gone may stay before it is
	// looked at whether it waits for an approval, and approveAgain how long
	// after one the next is given.
	holdLook = time.Second
	// owedWithin is how long rest waits for what the applier has in hand. What it
	// says nothing of by then, the books judge.
	owedWithin   = 10 * time.Second
	approveAgain = 4 * time.Second
)

// settle waits until live is what Git asks for and nobody has anything left to
// do, approving what is held for that, and returns what is in the cluster then.
// Recovery counts from a moment of the past, the end of the fault; patience
// from now.
func (w *World) settle(ctx context.Context, view *gitView, lifting time.Time) (Quiet, error) {
	from := time.Now()
	q := Quiet{Recovery: -1}
	approved := map[string]time.Time{} // by application
	for {
		changed := w.record.change()
		problems := view.problems(w.record.objects())
		behind := w.record.behind(view)
		if len(problems) > 0 {
			q.Recovery = -1
		} else if q.Recovery < 0 {
			q.Recovery = time.Since(lifting)
		}
		owes := time.Since(from) < owedWithin && w.record.owed(view) != ""
		if len(problems) == 0 && behind == "" && !owes {
			live, err := w.atRest(ctx, view)
			if err == nil && time.Since(from) < owedWithin {
				err = w.booksClosed(ctx, view)
			}
			// What was told while the last input was worked off counts too.
			if err == nil && w.record.behind(view) == "" {
				q.Live = live
				return q, nil
			}
			if err != nil && ctx.Err() != nil {
				return q, ctx.Err()
			}
		}
		if waited := time.Since(from); waited > restWithin {
			q.Recovery, q.Late = time.Since(lifting), describe(problems, behind)
			var err error
			q.Live, err = w.list(ctx)
			return q, err
		} else if waited > holdLook {
			w.approve(ctx, problems, approved)
		}
		select {
		case <-ctx.Done():
			return q, ctx.Err()
		case <-changed:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

var errNotAtRest = errors.New("not at rest")

// atRest waits until no input is left and returns what is live, if it still is
// what Git asks for.
func (w *World) atRest(ctx context.Context, view *gitView) ([]State, error) {
	resting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := w.Drained(resting); err != nil {
		return nil, err
	}
	// What was said of the last input is in the log, and not yet recorded.
	if err := w.record.catchUp(resting); err != nil {
		return nil, err
	}
	live, err := w.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(view.problems(live)) > 0 {
		return nil, errNotAtRest
	}
	return live, nil
}

// booksClosed says whether every inventory is known as it is, and none is left of
// an application that is declared no more. The applier writes them, and removes
// those, after what it says, and the log doesn't tell: what comes of it late would
// look like a write that nothing asked for.
func (w *World) booksClosed(ctx context.Context, view *gitView) error {
	list, err := w.Kube.Typed.CoreV1().ConfigMaps(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: labelInventory})
	if err != nil {
		return fmt.Errorf("list the inventories: %w", err)
	}
	known := w.record.books()
	for _, m := range list.Items {
		app := strings.TrimPrefix(m.Name, "inventory.")
		if _, declared := view.declared[app]; !declared || known[app] != number(m.ResourceVersion) {
			return errNotAtRest
		}
	}
	if len(known) > len(list.Items) {
		return errNotAtRest
	}
	return nil
}

// books are the versions of the inventories that were last seen, by application.
func (r *Recorder) books() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := make(map[string]uint64, len(r.inventories))
	for app, inv := range r.inventories {
		versions[app] = inv.Version
	}
	return versions
}

// objects are all that were last seen.
func (r *Recorder) objects() []State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.live))
}

// list reads every object of the workload's from the API server itself.
func (w *World) list(ctx context.Context) ([]State, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var all []State
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		list, err := w.Kube.Dynamic.Resource(kinds[name].resource).List(ctx, metav1.ListOptions{LabelSelector: labelApplication})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", name, err)
		}
		for i := range list.Items {
			u := &list.Items[i]
			if ns := u.GetNamespace(); ns == "" || slices.Contains(w.Plan.Namespaces, ns) {
				all = append(all, stateOf(u))
			}
		}
	}
	return all, nil
}

// approve approves what is held of the applications that have too much.
func (w *World) approve(ctx context.Context, problems []Problem, approved map[string]time.Time) {
	for _, p := range problems {
		hold := w.record.hold(p.App)
		if !p.Extra || hold == "" || time.Since(approved[p.App]) < approveAgain {
			continue
		}
		approved[p.App] = time.Now()
		out, err := w.CLI(ctx, "approve", p.App, hold)
		if err != nil { // it may be held no more
			w.Note("approve " + p.App + ": " + strings.TrimSpace(out))
		}
	}
}

// hold is what of an application waits for an approval, or "".
func (r *Recorder) hold(app string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	inv := r.inventories[app]
	if inv.Withheld || r.last["application.withdrawn "+app].Outcome == "held" {
		if e := r.last["application.withdrawn "+app]; e.Hold != "" && e.Time.After(r.last["convergence.held "+app].Time) {
			return e.Hold
		}
	}
	for _, e := range inv.Entries {
		if e.Held || e.Awaiting {
			return r.last["convergence.held "+app].Hold
		}
	}
	return ""
}

func describe(problems []Problem, behind string) string {
	if len(problems) == 0 {
		return "live is what Git asks for, but the log is not there yet: " + behind
	}
	texts := make([]string, 0, len(problems))
	for _, p := range problems[:min(len(problems), 5)] {
		texts = append(texts, p.String())
	}
	return fmt.Sprintf("%d applications: %s", len(problems), strings.Join(texts, "; "))
}

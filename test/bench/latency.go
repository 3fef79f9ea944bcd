// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// rounds is how often each latency is measured.
const rounds = 20

// latency measures commit → applied, edit → divergence event and edit →
// healed, each round on another application: who edits one object again and
// again is in a fight, and healing waits longer each time.
func (b *bench) latency(ctx context.Context) error {
	var raw, observed, rendered, applied, detected, healed []time.Duration
	for i := range rounds {
		took, err := b.rawApply(ctx, i)
		if err != nil {
			return err
		}
		raw = append(raw, took)
		o, m, took, err := b.commitToApplied(ctx, i)
		if err != nil {
			return err
		}
		observed, rendered, applied = append(observed, o), append(rendered, m), append(applied, took)
		d, h, err := b.editToHealed(ctx, i)
		if err != nil {
			return err
		}
		detected, healed = append(detected, d), append(healed, h)
	}
	limit := median(raw)
	fmt.Printf("\n%-32s %8s %8s %10s\n", fmt.Sprintf("latency, %d rounds", rounds), "median", "worst", "× limit")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{
		{"limit: one apply → watch", raw},
		{"git push → commit.observed", observed},
		{"git push → manifests.rendered", rendered},
		{"git push → applied", applied},
		{"edit → divergence event", detected},
		{"edit → healed", healed},
	} {
		m := median(row.times)
		fmt.Printf("%-32s %8s %8s %10.1f\n", row.name, short(m), short(slices.Max(row.times)), float64(m)/float64(limit))
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// rawApply is what the API server itself takes: one server-side apply by the
// bench, seen by its watch.
func (b *bench) rawApply(ctx context.Context, round int) (time.Duration, error) {
	value := fmt.Sprintf("raw-%d", round)
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"},"data":{"v":%q}}`, value)
	return b.seen(ctx, "default", "raw", value, func(ctx context.Context) (time.Time, error) {
		force := true
		from := time.Now()
		_, err := b.rig.Kube.Dynamic.Resource(rig.ConfigMaps).Namespace("default").Patch(ctx, "raw",
			types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "bench", Force: &force})
		return from, err
	})
}

func (b *bench) commitToApplied(ctx context.Context, round int) (observed, rendered, applied time.Duration, err error) {
	value := fmt.Sprintf("commit-%d", round)
	mark := b.rig.Bus.Mark()
	var pushed time.Time
	applied, err = b.seen(ctx, namespace, item(round), value, func(ctx context.Context) (time.Time, error) {
		pushed, err = b.push(ctx, b.repo, gitserver.Commit{Files: map[string]string{file(round): configMap(round, value)}})
		return pushed, err
	})
	if err != nil {
		return 0, 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	times := map[string]time.Duration{}
	for _, name := range []string{"commit.observed", "manifests.rendered", "convergence.completed"} {
		e, err := b.rig.Bus.Wait(ctx, mark, rig.Of(name, application(round)))
		if err != nil {
			return 0, 0, 0, fmt.Errorf("no %s: %w", name, err)
		}
		times[name] = e.At.Sub(pushed)
	}
	return times["commit.observed"], times["manifests.rendered"], applied, nil
}

func (b *bench) editToHealed(ctx context.Context, round int) (detected, healed time.Duration, err error) {
	git := fmt.Sprintf("commit-%d", round)
	mark := b.rig.Bus.Mark()
	var from time.Time
	healed, err = b.seen(ctx, namespace, item(round), git, func(ctx context.Context) (time.Time, error) {
		err := b.rig.Kube.Edit(ctx, rig.ConfigMaps, namespace, item(round), `{"data":{"v":"by hand"}}`, "kubectl-edit")
		from = time.Now()
		return from, err
	})
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	event, err := b.rig.Bus.Wait(ctx, mark, rig.Of("divergence.detected", application(round)))
	if err != nil {
		return 0, 0, fmt.Errorf("no divergence.detected: %w", err)
	}
	_, err = b.rig.Bus.Wait(ctx, mark, rig.Of("divergence.resolved", application(round)))
	return event.At.Sub(from), healed, err
}

// seen watches a ConfigMap while do runs and returns the time from what do
// returns until its value is want again, or for the first time.
func (b *bench) seen(ctx context.Context, namespace, name, want string, do func(context.Context) (time.Time, error)) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	moments, err := b.rig.Kube.Watch(ctx, rig.ConfigMaps, namespace, name)
	if err != nil {
		return 0, err
	}
	before, err := b.value(ctx, namespace, name)
	if err != nil {
		return 0, err
	}
	from, err := do(ctx)
	if err != nil {
		return 0, err
	}
	away := before != want // where it is there already it must leave first
	for m := range moments {
		data, _ := m.Object.Object["data"].(map[string]any)
		value, _ := data["v"].(string)
		if value != want {
			away = away || value != before
			continue
		}
		if away {
			return m.Seen.Sub(from), nil
		}
	}
	return 0, fmt.Errorf("ConfigMap %s never became %q: %w", name, want, ctx.Err())
}

func (b *bench) value(ctx context.Context, namespace, name string) (string, error) {
	o, err := b.rig.Kube.Get(ctx, rig.ConfigMaps, namespace, name)
	if err != nil || o == nil {
		return "", err
	}
	data, _ := o.Object["data"].(map[string]any)
	value, _ := data["v"].(string)
	return value, nil
}

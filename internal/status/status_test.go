// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const (
	a, b, c = "aaaa", "bbbb", "cccc"           // commits
	x, y    = "sha256:01", "sha256:02"         // bundles
	hold    = "sha256:0d"                      // what is held
	since   = time.Second                      // of the n-th event: begin + n*since
	healed  = events.DivergenceKind("changed") // any that is no stall
	stalled = events.DivergenceStalled         //
)

func observe(d *events.Declaration) { d.Converge.Mode = events.ModeObserve }

// cases are histories and how the application stands after them.
var cases = map[string]struct {
	h      *history
	state  status.State
	reason events.Reason
	says   string // in the message
	commit string
	digest string
	since  int // which event made the state
	open   int
}{
	"observed":                  {log().observed(a), status.Converging, "", "waits for the renderer", a, "", 1, 0},
	"rendered":                  {log().observed(a).rendered(x), status.Converging, "", "waits for the applier", a, x, 2, 0},
	"applied":                   {log().observed(a).rendered(x).applied(x), status.Converging, "", "waits for health", a, x, 3, 0},
	"completed":                 {log().observed(a).rendered(x).applied(x).completed(x), status.Converged, "", "", a, x, 4, 0},
	"failed":                    {log().observed(a).rendered(x).failed(x), status.Failed, events.ReasonRefused, "deploy/web.yaml:3: Service/web: no such port", a, x, 3, 0},
	"failed, then mended":       {log().observed(a).rendered(x).failed(x).applied(x).completed(x), status.Converged, "", "", a, x, 5, 0},
	"render failed":             {log().observed(a).renderFailed(), status.Failed, events.ReasonSyntax, "deploy/web.yaml:7: no YAML", a, "", 2, 0},
	"degraded":                  {log().observed(a).rendered(x).completed(x).degraded(x), status.Degraded, events.ReasonUnhealthy, "1 of 2 replicas", a, x, 4, 0},
	"well again":                {log().observed(a).rendered(x).completed(x).degraded(x).completed(x), status.Converged, "", "", a, x, 5, 0},
	"next commit":               {log().observed(a).rendered(x).completed(x).observed(b), status.Converging, "", "waits for the renderer", b, "", 4, 0},
	"next bundle":               {log().observed(a).rendered(x).completed(x).observed(b).rendered(y), status.Converging, "", "waits for the applier", b, y, 5, 0},
	"unchanged":                 {log().observed(a).rendered(x).completed(x).observed(b).unchanged(x), status.Converged, "", "", b, x, 3, 0},
	"unchanged and degraded":    {log().observed(a).rendered(x).completed(x).degraded(x).observed(b).unchanged(x), status.Degraded, events.ReasonUnhealthy, "", b, x, 4, 0},
	"unchanged after a failure": {log().observed(a).rendered(x).failed(x).observed(b).unchanged(x), status.Converging, "", "waits for the applier", b, x, 5, 0},
	"unchanged and unhealthy":   {log().observed(a).rendered(x).unhealthy(x).observed(b).unchanged(x), status.Failed, events.ReasonUnhealthy, "0 of 2", b, x, 3, 0},
	"recovered render":          {log().observed(a).rendered(x).completed(x).observed(b).renderFailed().observed(c).rendered(x), status.Converged, "", "", c, x, 3, 0},
	"A, B, A":                   {log().observed(a).rendered(x).completed(x).observed(b).rendered(y).completed(y).observed(a).rendered(x), status.Converging, "", "waits for the applier", a, x, 8, 0},
	"late word of an old one":   {log().observed(a).rendered(x).observed(b).rendered(y).completed(x), status.Converging, "", "", b, y, 4, 0},
	"rolled back":               {log().observed(a).rendered(x).web(&events.ConvergenceRolledBack{From: x, Reason: events.ReasonUnhealthy}), status.Failed, events.ReasonUnhealthy, "last good", a, x, 3, 0},
	"refused commit":            {log().observed(a).rendered(x).completed(x).web(&events.CommitRejected{Commit: b, Reason: events.ReasonSignature, Message: "unsigned"}), status.Failed, events.ReasonSignature, "commit bbbb was refused: unsigned", a, "", 4, 0},
	"observe mode":              {log().observed(a, observe).rendered(x), status.Converged, "", "never written", a, x, 2, 0},
	"observe mode, diverged":    {log().observed(a, observe).rendered(x).detected("k", healed), status.Diverged, "changed", "", a, x, 3, 1},
	"late from an older life":   {log().turned().observed(a).before().rendered(x), status.Converging, "", "waits for the renderer", a, "", 1, 0},
	"a new life of the log":     {log().observed(a).rendered(x).completed(x).turned().observed(a), status.Converging, "", "waits for the renderer", a, "", 4, 0},

	"held":                    {log().observed(a).rendered(x).applied(x).held(x, hold), status.Held, events.ReasonPruneGuard, "5 of 6", a, x, 4, 0},
	"held, one thing healed":  {log().observed(a).rendered(x).held(x, hold).applied(x), status.Held, events.ReasonPruneGuard, "5 of 6", a, x, 3, 0},
	"held, then in no need":   {log().observed(a).rendered(x).held(x, hold).completed(x), status.Converged, "", "", a, x, 4, 0},
	"held, other approved":    {log().observed(a).rendered(x).held(x, hold).approved("sha256:0e"), status.Held, events.ReasonPruneGuard, "", a, x, 3, 0},
	"approved":                {log().observed(a).rendered(x).held(x, hold).approved(hold), status.Converging, "", "approved", a, x, 3, 0},
	"approved and done":       {log().observed(a).rendered(x).held(x, hold).approved(hold).applied(x).completed(x), status.Converged, "", "", a, x, 6, 0},
	"approved, held anew":     {log().observed(a).rendered(x).held(x, hold).approved(hold).held(x, "sha256:0f"), status.Held, events.ReasonPruneGuard, "", a, x, 5, 0},
	"held, then a new bundle": {log().observed(a).rendered(x).held(x, hold).observed(b).rendered(y).completed(y), status.Converged, "", "", b, y, 6, 0},

	"diverged":                {log().observed(a).rendered(x).completed(x).detected("k", healed), status.Diverged, "changed", "somebody changed k", a, x, 4, 1},
	"diverged twice":          {log().observed(a).rendered(x).completed(x).detected("l", healed).detected("k", healed), status.Diverged, "changed", "", a, x, 5, 2},
	"healed":                  {log().observed(a).rendered(x).completed(x).detected("k", healed).resolved("k"), status.Converged, "", "", a, x, 3, 0},
	"one of two healed":       {log().observed(a).rendered(x).completed(x).detected("k", healed).detected("l", healed).resolved("k"), status.Diverged, "changed", "somebody changed l", a, x, 5, 1},
	"diverged while applying": {log().observed(a).rendered(x).detected("k", healed), status.Converging, "", "", a, x, 2, 1},
	"stalled":                 {log().observed(a).rendered(x).detected("s", stalled), status.Diverged, "stalled", "", a, x, 3, 1},
	"failed and stalled":      {log().observed(a).rendered(x).failed(x).detected("s", stalled), status.Failed, events.ReasonRefused, "", a, x, 3, 1},

	"withdrawal held":           {log().observed(a).rendered(x).completed(x).withdrawn(events.ActionHeld, hold), status.Held, "", "no longer declared", a, "", 4, 0},
	"withdrawal approved":       {log().observed(a).withdrawn(events.ActionHeld, hold).approved(hold), status.Converging, "", "approved", a, "", 2, 0},
	"withdrawn":                 {log().observed(a).rendered(x).completed(x).withdrawn(events.ActionPruned, ""), status.Withdrawn, "", "pruned", a, "", 4, 0},
	"declared again":            {log().observed(a).withdrawn(events.ActionPruned, "").observed(b).rendered(x).completed(x), status.Converged, "", "", b, x, 5, 0},
	"unreachable":               {log().observed(a).rendered(x).completed(x).unreachable(), status.Unreachable, events.ReasonUnauthorized, "repository shop: it refuses", a, x, 4, 0},
	"unreachable and failed":    {log().observed(a).renderFailed().unreachable(), status.Failed, events.ReasonSyntax, "", a, "", 2, 0},
	"reachable again":           {log().observed(a).rendered(x).completed(x).unreachable().recovered(), status.Converged, "", "", a, x, 3, 0},
	"invalid declaration":       {log().observed(a).rendered(x).completed(x).fleet("f1", 0).invalid("f2", "web").fleet("f2", 1), status.Held, events.ReasonDeclaration, "apps.yaml:4: spec.source.path: is missing (and 1 more)", a, x, 5, 0},
	"of another application":    {log().observed(a).rendered(x).completed(x).invalid("f2", "shop"), status.Converged, "", "", a, x, 3, 0},
	"valid again":               {log().observed(a).rendered(x).completed(x).invalid("f2", "web").fleet("f2", 1).fleet("f3", 0), status.Converged, "", "", a, x, 3, 0},
	"invalid, another is valid": {log().observed(a).rendered(x).completed(x).invalid("f2", "web").fleet("f2", 1).fleet("f3", 1), status.Held, events.ReasonDeclaration, "", a, x, 4, 0},
}

// Of a withdrawal that can't be ended, what is gone is not held.
func TestHeldAreTheHeld(t *testing.T) {
	object := func(name string, action events.Action) events.AppliedObject {
		return events.AppliedObject{Object: events.Object{Version: "v1", Kind: "ConfigMap", Name: name}, Action: action}
	}
	list := []events.AppliedObject{object("gone", events.ActionPruned), object("stays", events.ActionHeld)}
	held := func(hold string, o events.AppliedObjects) status.Status {
		return web(t, log().observed(a).web(&events.ApplicationWithdrawn{Outcome: events.ActionHeld, Hold: hold, Objects: o}).view())
	}
	s := held("", events.AppliedObjects{Count: 2, Items: list})
	if s.State != status.Held || s.HeldCount != 1 || s.HeldObjects[0].Name != "stays" {
		t.Errorf("%+v", s)
	}
	body := &events.Blob{Name: "b"}
	if s = held(hold, events.AppliedObjects{Count: 70, Blob: body}); s.HeldCount != 70 || s.HeldList != body {
		t.Errorf("many: %+v", s)
	}
	if s = held("", events.AppliedObjects{Count: 70, Blob: body}); s.HeldCount != 0 || s.HeldList != body {
		t.Errorf("many, of which some are gone: %+v", s)
	}
	if s.Holds(list); s.HeldCount != 1 || s.HeldList != nil {
		t.Errorf("after the list was read: %+v", s)
	}
}

func TestStates(t *testing.T) {
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			got := web(t, want.h.view())
			if held := got.Hold != ""; held != (got.HeldCount == 1) || held != (len(got.HeldObjects) == 1 && got.HeldObjects[0].Name == "old") {
				t.Errorf("hold %q, of %d objects: %v", got.Hold, got.HeldCount, got.HeldObjects)
			}
			if got.State != want.state || got.Reason != want.reason || !strings.Contains(got.Message, want.says) {
				t.Errorf("state %s (%s: %q), want %s (%s: %q in it)", got.State, got.Reason, got.Message, want.state, want.reason, want.says)
			}
			if got.Commit != want.commit || got.Digest != want.digest {
				t.Errorf("commit %q, digest %q; want %q, %q", got.Commit, got.Digest, want.commit, want.digest)
			}
			if at := begin.Add(time.Duration(want.since) * since); !got.Since.Equal(at) {
				t.Errorf("since event %d, want %d", got.Since.Sub(begin)/since, want.since)
			}
			if got.OpenDivergences != want.open || len(got.Divergences) != want.open {
				t.Errorf("%d open divergences (%v), want %d", got.OpenDivergences, got.Divergences, want.open)
			}
			if (got.Hold != "") != (got.State == status.Held && !strings.Contains(got.Message, "declaration is invalid")) {
				t.Errorf("hold %q in state %s", got.Hold, got.State)
			}
			if len(got.TraceID) != 32 {
				t.Errorf("trace %q", got.TraceID)
			}
		})
	}
}

// However the events come, and however often, the status is the same.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			once := web(t, want.h.view())
			for seed := range uint64(50) {
				shuffled := append(append([]events.Event{}, want.h.events...), want.h.events...)
				rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) {
					shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
				})
				var v status.View
				for _, e := range shuffled {
					v.Add(e)
				}
				if diff := cmp.Diff(once, web(t, &v), cmpopts.IgnoreUnexported(status.Status{})); diff != "" {
					t.Fatalf("seed %d:\n%s", seed, diff)
				}
			}
		})
	}
}

// What the last event of each subject tells is all that counts.
func TestLastOfEachSubjectIsEnough(t *testing.T) {
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			last := map[string]events.Event{}
			for _, e := range want.h.events {
				last[e.Type.Subject(e.Address)] = e
			}
			var v status.View
			for _, e := range last {
				v.Add(e)
			}
			if diff := cmp.Diff(web(t, want.h.view()), web(t, &v), cmpopts.IgnoreUnexported(status.Status{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestAllLeavesOutTheWithdrawn(t *testing.T) {
	if all := log().observed(a).withdrawn(events.ActionOrphaned, "").view().All(); len(all) != 0 {
		t.Errorf("All = %v", all)
	}
	if all := log().observed(a).withdrawn(events.ActionHeld, hold).view().All(); len(all) != 1 {
		t.Errorf("All = %v, want the one that is held", all)
	}
}

func TestNeverObservedButKnown(t *testing.T) {
	v := log().unreachable("web").invalid("f1", "shop").view()
	got := v.All()
	if len(got) != 2 || got[0].Application != "shop" || got[0].State != status.Held || got[1].Application != "web" || got[1].State != status.Unreachable {
		t.Errorf("All = %+v", got)
	}
}

func web(t *testing.T, v *status.View) status.Status {
	t.Helper()
	all := v.Of("web")
	if len(all) != 1 {
		t.Fatalf("%d applications, want one: %v", len(all), all)
	}
	return all[0]
}

// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// history writes the log of one application, "web" on "local", as the
// pipeline would.
type history struct {
	events []events.Event
	epoch  string
	commit events.Event // the newest commit.observed
	lists  map[string][]events.FleetEntry
}

func (h *history) add(a events.Address, about events.Event, p events.Payload) *history {
	n := uint64(len(h.events) + 1)
	e := events.Event{
		Type: events.TypeOf(p), Address: a, Data: p, Stored: n, Sequence: about.Sequence, Epoch: h.epoch,
		Time: begin.Add(time.Duration(n) * time.Second),
	}
	if e.Type.Name() == "commit.observed" {
		e.Sequence, e.Traceparent = n, fmt.Sprintf("00-%032x-%016x-01", n, n)
		h.commit = e
	}
	h.events = append(h.events, e)
	return h
}

func (h *history) web(p events.Payload) *history {
	return h.add(events.Address{Cluster: "local", Application: "web"}, h.commit, p)
}

func (h *history) observed(commit string, change ...func(*events.Declaration)) *history {
	p := &events.CommitObserved{
		Revision: events.Revision{Commit: commit, Title: "change " + commit, Ref: "refs/heads/main"},
		Declaration: events.Declaration{
			Application: "web", Cluster: "local", Source: events.SourceSpec{Repository: "shop"},
			Converge: events.Convergence{Mode: events.ModeAuto},
		},
	}
	for _, c := range change {
		c(&p.Declaration)
	}
	return h.web(p)
}

func (h *history) manifests(digest string) events.Manifests {
	p := h.commit.Data.(*events.CommitObserved)
	return events.Manifests{Revision: p.Revision, Declaration: p.Declaration, Digest: digest}
}

func (h *history) rendered(digest string) *history {
	return h.web(&events.ManifestsRendered{Manifests: h.manifests(digest)})
}

func (h *history) unchanged(digest string) *history {
	return h.web(&events.ManifestsUnchanged{Manifests: h.manifests(digest)})
}

func (h *history) renderFailed() *history {
	p := h.commit.Data.(*events.CommitObserved)
	return h.web(&events.RenderFailed{
		Revision: p.Revision, Declaration: p.Declaration,
		Reason: events.ReasonSyntax, Message: "no YAML", File: "deploy/web.yaml", Line: 7,
	})
}

func (h *history) of(digest string) events.Converging {
	return events.Converging{Revision: h.commit.Data.(*events.CommitObserved).Revision, Digest: digest}
}

func (h *history) applied(digest string) *history {
	return h.web(&events.ConvergenceApplied{Converging: h.of(digest)})
}

func (h *history) completed(digest string) *history {
	return h.web(&events.ConvergenceCompleted{Converging: h.of(digest)})
}

func (h *history) failed(digest string) *history {
	return h.web(&events.ConvergenceFailed{
		Converging: h.of(digest), Reason: events.ReasonRefused, Message: "1 object was refused", Failed: 1,
		Failures: []events.ObjectFailure{{Object: events.Object{Kind: "Service", Name: "web"}, Message: "no such port", File: "deploy/web.yaml", Line: 3}},
	})
}

func (h *history) unhealthy(digest string) *history {
	return h.web(&events.ConvergenceFailed{Converging: h.of(digest), Reason: events.ReasonUnhealthy, Message: "0 of 2 replicas"})
}

func (h *history) degraded(digest string) *history {
	return h.web(&events.ConvergenceDegraded{Converging: h.of(digest), Reason: events.ReasonUnhealthy, Message: "1 of 2 replicas"})
}

func (h *history) held(digest, hold string) *history {
	return h.web(&events.ConvergenceHeld{Converging: h.of(digest), Reason: events.ReasonPruneGuard, Message: "5 of 6 objects would go", Hold: hold, Objects: heldObjects()})
}

func heldObjects() events.AppliedObjects {
	return events.AppliedObjects{Count: 1, Items: []events.AppliedObject{{Object: events.Object{Version: "v1", Kind: "ConfigMap", Name: "old"}, Action: events.ActionHeld}}}
}

func (h *history) approved(hold string) *history { return h.web(&events.ApprovalGiven{Hold: hold}) }

func (h *history) detected(key string, kind events.DivergenceKind) *history {
	d := events.Divergence{Key: key, Kind: kind, Since: begin, Message: "somebody changed " + key}
	if kind != events.DivergenceStalled {
		d.Object = &events.Object{Kind: "ConfigMap", Name: key}
	}
	return h.add(events.Address{Cluster: "local", Application: "web", Key: key}, h.commit, &events.DivergenceDetected{Divergence: d})
}

func (h *history) resolved(key string) *history {
	d := events.Divergence{Key: key, Kind: events.DivergenceChanged}
	return h.add(events.Address{Cluster: "local", Application: "web", Key: key}, h.commit, &events.DivergenceResolved{Divergence: d})
}

func (h *history) withdrawn(outcome events.Action, hold string) *history {
	return h.web(&events.ApplicationWithdrawn{Outcome: outcome, Hold: hold, Objects: heldObjects()})
}

func (h *history) unreachable(applications ...string) *history {
	return h.add(events.Address{Key: "shop"}, events.Event{}, &events.SourceUnreachable{Repository: "shop", Reason: events.ReasonUnauthorized, Message: "it refuses our credentials", Applications: applications})
}

func (h *history) recovered() *history {
	return h.add(events.Address{Key: "shop"}, events.Event{}, &events.SourceRecovered{Repository: "shop"})
}

func (h *history) invalid(commit string, holds ...string) *history {
	return h.add(events.Address{Key: "Application/web"}, events.Event{}, &events.FleetRejected{
		File: "apps.yaml", Commit: commit, Holds: holds, Reason: events.ReasonDeclaration,
		Problems: []events.Problem{{Line: 4, Field: "spec.source.path", Message: "is missing"}, {Message: "more"}},
	})
}

func (h *history) fleet(commit string, held int) *history {
	return h.add(events.Address{Cluster: "local"}, events.Event{}, &events.FleetObserved{Commit: commit, Held: held})
}

// listed publishes a fleet list that the view is given.
func (h *history) listed(commit string, entries ...events.FleetEntry) *history {
	held := 0
	for _, e := range entries {
		if e.Held {
			held++
		}
	}
	list := events.Blob{Name: "list", Digest: "sha256:" + commit}
	if h.lists == nil {
		h.lists = map[string][]events.FleetEntry{}
	}
	h.lists[list.Digest] = entries
	return h.add(events.Address{Cluster: "local"}, events.Event{}, &events.FleetObserved{Commit: commit, Count: len(entries), Held: held, List: list})
}

// turned starts a new life of the log.
func (h *history) turned() *history { h.epoch = "second"; return h }

// before goes on with what belongs to the life before, published late.
func (h *history) before() *history { h.epoch = "first"; return h }

func (h *history) view() *status.View {
	var v status.View
	for _, e := range h.events {
		v.Add(e)
	}
	for _, b := range v.Missing() {
		v.Declare(b, h.lists[b.Digest])
	}
	return &v
}

func log() *history { return &history{epoch: "first"} }

// SPDX-License-Identifier: Apache-2.0

package incident_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var web = events.Address{Cluster: "local", Application: "web"}

// history is a log as the pipeline would write it.
type history struct {
	events   []events.Event
	sequence uint64
}

func (h *history) add(a events.Address, p events.Payload) *history {
	n := uint64(len(h.events) + 1)
	e := events.Event{
		ID: fmt.Sprintf("%s-%d", events.TypeOf(p).Name(), n), Type: events.TypeOf(p), Address: a, Data: p, Stored: n,
		Epoch: "first", Sequence: h.sequence, Time: begin.Add(time.Duration(n) * time.Second),
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	h.events = append(h.events, e)
	return h
}

func (h *history) revision() events.Revision {
	return events.Revision{Commit: fmt.Sprintf("c%d", h.sequence), Title: "change", Author: events.Person{Name: "Ann"}}
}

func (h *history) converging() events.Converging { return events.Converging{Revision: h.revision()} }

func (h *history) observed() *history {
	h.sequence = uint64(len(h.events) + 1)
	return h.add(web, &events.CommitObserved{Revision: h.revision()})
}

func (h *history) rejected() *history {
	return h.add(web, &events.CommitRejected{Commit: "bad", Reason: events.ReasonSignature, Message: "unsigned"})
}

func (h *history) rendered() *history {
	return h.add(web, &events.ManifestsRendered{Manifests: events.Manifests{Revision: h.revision()}})
}

func (h *history) unchanged() *history {
	return h.add(web, &events.ManifestsUnchanged{Manifests: events.Manifests{Revision: h.revision()}})
}

func (h *history) renderFailed(reason events.Reason) *history {
	return h.add(web, &events.RenderFailed{Revision: h.revision(), Reason: reason, Message: "no YAML", File: "web.yaml", Line: 7})
}

func (h *history) applied() *history {
	return h.add(web, &events.ConvergenceApplied{Converging: h.converging()})
}

func (h *history) completed() *history {
	return h.add(web, &events.ConvergenceCompleted{Converging: h.converging()})
}

func (h *history) failed() *history {
	return h.add(web, &events.ConvergenceFailed{
		Converging: h.converging(), Reason: events.ReasonRefused, Message: "refused", Failed: 2,
		Failures: []events.ObjectFailure{{Object: events.Object{Kind: "Service", Name: "web"}, Message: "no such port", File: "web.yaml", Line: 3}},
	})
}

func (h *history) degraded() *history {
	return h.add(web, &events.ConvergenceDegraded{Converging: h.converging(), Reason: events.ReasonUnhealthy, Message: "1 of 2"})
}

func (h *history) held(hold string) *history {
	return h.add(web, &events.ConvergenceHeld{Converging: h.converging(), Reason: events.ReasonPruneGuard, Message: "5 of 6 would go", Hold: hold})
}

func (h *history) approved(hold string) *history {
	return h.add(web, &events.ApprovalGiven{Hold: hold, By: "ada"})
}

func (h *history) withdrawn(outcome events.Action) *history {
	return h.add(web, &events.ApplicationWithdrawn{Outcome: outcome, Hold: "w", Reason: events.ReasonWithdrawalGuard})
}

func (h *history) divergence(key string) events.Divergence {
	return events.Divergence{
		Key: key, Kind: events.DivergenceChanged, Object: &events.Object{Kind: "ConfigMap", Name: key}, Since: begin,
		Revision: h.revision(), Declared: events.Change{Commit: "c0", Author: "Bea"}, File: "cm.yaml", Line: 2,
	}
}

func (h *history) detected(key string) *history {
	return h.add(keyed(key), &events.DivergenceDetected{Divergence: h.divergence(key)})
}

func (h *history) persisted(key string) *history {
	return h.add(keyed(key), &events.DivergencePersisted{Divergence: h.divergence(key)})
}

func (h *history) resolved(key string, persisted bool) *history {
	return h.add(keyed(key), &events.DivergenceResolved{Divergence: h.divergence(key), How: "healed", Persisted: persisted})
}

func keyed(key string) events.Address {
	a := web
	a.Key = key
	return a
}

func (h *history) unreachable() *history {
	return h.add(events.Address{Key: "shop"}, &events.SourceUnreachable{Repository: "shop", Reason: events.ReasonUnauthorized, Since: begin})
}

func (h *history) recovered() *history {
	return h.add(events.Address{Key: "shop"}, &events.SourceRecovered{Repository: "shop"})
}

func (h *history) invalid(key, commit string) *history {
	return h.add(events.Address{Key: key}, &events.FleetRejected{Kind: "Application", Name: key, File: "apps.yaml", Reason: events.ReasonDeclaration, Commit: commit, Problems: []events.Problem{{Line: 4, Field: "spec.path", Message: "is missing"}}})
}

// listed adds a list of the fleet that names what is refused.
func (h *history) listed(cluster, commit string, refused ...string) *history {
	return h.listedOf(cluster, commit, len(refused), refused...)
}

// listedOf adds one that names some of what is refused.
func (h *history) listedOf(cluster, commit string, count int, named ...string) *history {
	return h.add(events.Address{Cluster: cluster}, &events.FleetObserved{Commit: commit, Rejections: named, RejectionCount: count})
}

// declared adds a list of the fleet that names these applications of a cluster.
func (h *history) declared(cluster string, applications ...string) *history {
	body := events.Blob{Name: cluster, Digest: "list:" + strings.Join(applications, " ")}
	return h.add(events.Address{Cluster: cluster}, &events.FleetObserved{List: body, Count: len(applications)})
}

// view is of events, and of the lists that they name.
func view(all []events.Event) *incident.View {
	var v incident.View
	for _, e := range all {
		v.Add(e)
	}
	for _, b := range v.Missing() {
		text, _ := strings.CutPrefix(b.Digest, "list:")
		applications := map[string]bool{}
		for _, name := range strings.Fields(text) {
			applications[name] = true
		}
		v.Declare(b, applications)
	}
	return &v
}

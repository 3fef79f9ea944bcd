// SPDX-License-Identifier: Apache-2.0

package incident_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

func TestWhatOpensAndWhatCloses(t *testing.T) {
	log := func() *history { return (&history{}).observed() }
	for name, c := range map[string]struct {
		h    *history
		want string // kinds that are open
	}{
		"nothing":                                {log().rendered().applied().completed(), ""},
		"render failed":                          {log().renderFailed(events.ReasonSyntax), "render"},
		"render failed, later rendered":          {log().renderFailed(events.ReasonSyntax).observed().rendered(), ""},
		"render failed, later unchanged":         {log().renderFailed(events.ReasonSyntax).observed().unchanged(), ""},
		"render failed, converged again":         {log().renderFailed(events.ReasonSyntax).completed(), "render"},
		"commit rejected":                        {log().rejected(), "commit"},
		"commit rejected, a newer accepted":      {log().rejected().observed(), ""},
		"commit rejected, an older renders":      {log().rejected().rendered(), "commit"},
		"convergence failed":                     {log().failed(), "convergence"},
		"failed, applied":                        {log().failed().applied(), "convergence"},
		"failed, completed":                      {log().failed().applied().completed(), ""},
		"degraded":                               {log().completed().degraded(), "convergence"},
		"degraded, recovered":                    {log().degraded().completed(), ""},
		"held":                                   {log().applied().held("h"), "hold"},
		"held, the rest applied":                 {log().held("h").applied(), "hold"},
		"held, completed":                        {log().held("h").completed(), ""},
		"held, approved":                         {log().held("h").approved("h"), "hold"},
		"held, approved and applied":             {log().held("h").approved("h").applied(), ""},
		"held, another approved":                 {log().held("h").approved("g").applied(), "hold"},
		"held, approved before":                  {log().approved("h").held("h").applied(), "hold"},
		"held, newer applied":                    {log().held("h").observed().applied(), ""},
		"held, newer applied and held":           {log().held("h").observed().applied().held("g"), "hold"},
		"withdrawn, held":                        {log().withdrawn(events.ActionHeld), "withdrawal"},
		"withdrawn, held, gone":                  {log().withdrawn(events.ActionHeld).withdrawn(events.ActionPruned), ""},
		"withdrawn, held, declared again":        {log().withdrawn(events.ActionHeld).observed(), ""},
		"withdrawn with all that is wrong":       {log().rejected().renderFailed(events.ReasonSyntax).failed().held("h").withdrawn(events.ActionOrphaned), ""},
		"source unreachable":                     {log().unreachable(), "source"},
		"source recovered":                       {log().unreachable().recovered(), ""},
		"divergence detected":                    {log().detected("k"), ""},
		"divergence persisted":                   {log().detected("k").persisted("k"), "divergence"},
		"divergence resolved":                    {log().detected("k").persisted("k").resolved("k", true), ""},
		"divergence, another resolved":           {log().detected("k").persisted("k").resolved("l", false), "divergence"},
		"divergence resolved and detected again": {log().detected("k").persisted("k").resolved("k", true).detected("k"), ""},
		"divergence resolved and there again":    {log().persisted("k").resolved("k", true).persisted("k"), "divergence"},
		"declaration refused":                    {log().invalid("web", "f1").listed("local", "f1", "web"), "declaration"},
		"refused, and not listed yet":            {log().listed("local", "f0").invalid("web", "f1"), "declaration"},
		"refused, mended":                        {log().invalid("web", "f1").listed("local", "f1", "web").listed("local", "f2"), ""},
		"refused, listed elsewhere":              {log().invalid("web", "f1").listed("local", "f1", "web").listed("far", "f2"), "declaration"},
		"refused, mended, another refused":       {log().invalid("web", "f1").listed("local", "f1", "web").invalid("api", "f2").listed("local", "f2", "api"), "declaration"},
		"refused still, something else declared": {log().invalid("web", "f1").listed("local", "f1", "web").listed("local", "f2", "web"), "declaration"},
		"refused, mended, refused again":         {log().invalid("web", "f1").listed("local", "f1", "web").listed("local", "f2").invalid("web", "f3").listed("local", "f3", "web"), "declaration"},
		"refused, behind what a list names":      {log().invalid("web", "f1").listedOf("local", "f2", 2, "api"), "declaration"},
		"refused, before what a list names":      {log().invalid("api", "f1").listedOf("local", "f2", 2, "web"), ""},
		"no longer declared":                     {log().rejected().renderFailed(events.ReasonSyntax).failed().held("h").declared("local", "api"), ""},
		"no longer declared, told later":         {log().declared("local", "api").renderFailed(events.ReasonSyntax), ""},
		"no longer declared, withdrawal held":    {log().failed().declared("local", "api").withdrawn(events.ActionHeld), "withdrawal"},
		"no longer declared, diverged":           {log().persisted("k").declared("local", "api"), "divergence"},
		"still declared":                         {log().renderFailed(events.ReasonSyntax).declared("local", "api", "web"), "render"},
		"no longer declared on another cluster":  {log().renderFailed(events.ReasonSyntax).declared("far", "api"), "render"},
		"declared elsewhere than on local":       {log().add(events.Address{Cluster: "far", Application: "web"}, &events.RenderFailed{}).declared("local").declared("far", "web"), "render"},
		"declared since":                         {log().declared("local", "api").observed().renderFailed(events.ReasonSyntax), "render"},
		"many":                                   {log().rejected().failed().held("h").persisted("k"), "commit convergence divergence hold"},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []string
			for _, i := range view(c.h.events).Open() {
				kinds = append(kinds, string(i.Kind))
			}
			slices.Sort(kinds)
			if got := strings.Join(kinds, " "); got != c.want {
				t.Errorf("open are %q, want %q", got, c.want)
			}
		})
	}
}

func one(t *testing.T, all []incident.Incident) incident.Incident {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d incidents, want one: %+v", len(all), all)
	}
	return all[0]
}

func TestNewerFailureIsTheSameIncident(t *testing.T) {
	h := (&history{}).observed().renderFailed(events.ReasonSyntax)
	first := one(t, view(h.events).Open())
	same := one(t, view(h.observed().renderFailed(events.ReasonSyntax).events).Open())
	if first.Scope.Key() != same.Scope.Key() || !same.Since.Equal(first.Since) || same.Says() == first.Says() {
		t.Errorf("%+v\nand then\n%+v", first, same)
	}
	again := one(t, view(h.rendered().renderFailed(events.ReasonKustomize).events).Open())
	if again.Scope.Key() != first.Scope.Key() || !again.Since.After(same.Since) {
		t.Errorf("after it was mended: %+v", again)
	}
}

func TestWhatAnIncidentSays(t *testing.T) {
	h := (&history{}).observed().failed()
	i := one(t, view(h.events).Open())
	if i.Commit != "c1" || i.Author != "Ann" || i.File != "web.yaml" || i.Line != 3 || i.FailureCount != 2 || i.Page() != "refused" || i.TraceID() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("%+v", i)
	}
	i = one(t, view(h.completed().persisted("k").events).Open())
	if i.Commit != "c0" || i.Author != "Bea" || i.CommitTitle != "" || i.Page() != "divergence-changed" || i.Title != "ConfigMap/k differs from Git" {
		t.Errorf("%+v", i)
	}
	h = (&history{}).observed().add(events.Address{Cluster: "local", Application: "a b"}, &events.ConvergenceHeld{Hold: "sha256:1"})
	if got, want := one(t, view(h.events).Open()).Act(), "plumbline approve 'a b' sha256:1"; got != want {
		t.Errorf("Act = %q, want %q", got, want)
	}
	h = (&history{}).observed().detected("k").resolved("k", false)
	i = one(t, view(h.events).Closed())
	if i.Event.Type.Name() != "divergence.resolved" || i.Closed.How != "it was put back" || i.EventID() != i.Event.ID {
		t.Errorf("healed before it persisted: %+v", i)
	}
}

func TestAlertsAreOfTheirIncident(t *testing.T) {
	h := (&history{}).observed().failed().persisted("k")
	s := incident.Scope{Kind: incident.Convergence, Address: web}
	h.add(s.Alert(), &events.AlertDelivered{Thread: "1"}).add(s.Alert(), &events.AlertDelivered{Thread: "2"}).add(s.Alert(), &events.AlertFailed{Message: "no"})
	for _, i := range view(h.events).Open() {
		p, _ := i.Delivered.Data.(*events.AlertDelivered)
		_, failed := i.Failed.Data.(*events.AlertFailed)
		if mine := i.Kind == incident.Convergence; mine != (p != nil && p.Thread == "2") || mine != failed {
			t.Errorf("%s: delivered %+v, failed %t", i.Kind, p, failed)
		}
	}
}

// What was held is overwritten by what became of it: only its alert tells that
// there was something.
func TestWithdrawalThatWasToldOf(t *testing.T) {
	h := (&history{}).observed().withdrawn(events.ActionPruned)
	if all := view(h.events).Closed(); len(all) != 0 {
		t.Errorf("%+v, and nothing was ever held", all)
	}
	s := incident.Scope{Kind: incident.Withdrawal, Address: web}
	h.add(s.Alert(), &events.AlertDelivered{Thread: "1"})
	if i := one(t, view(h.events).Closed()); i.Kind != incident.Withdrawal || i.Closed.How != "it was withdrawn" {
		t.Errorf("%+v", i)
	}
}

// Every event that a scope depends on lies on one of its subjects, and is told
// to concern it.
func TestSubjectsOfAScope(t *testing.T) {
	h := everything()
	for _, e := range h.events {
		of := append(incident.Opened(e.Type, e.Address), incident.Concerned(e.Type, e.Address)...)
		if len(of) == 0 && e.Type.Name() != "divergence.detected" {
			t.Errorf("%s concerns nothing", e.Type.Name())
		}
		for _, s := range of {
			subject := e.Type.Subject(e.Address)
			if !slices.ContainsFunc(s.Subjects(), func(filter string) bool { return matches(filter, subject) }) {
				t.Errorf("%s concerns %+v, whose subjects are %q", subject, s, s.Subjects())
			}
			if !slices.ContainsFunc(incident.Filters(), func(filter string) bool { return matches(filter, subject) }) {
				t.Errorf("%s is not in %q", subject, incident.Filters())
			}
		}
	}
	for _, i := range append(view(h.events).Open(), view(h.events).Closed()...) {
		var its []events.Event
		for _, e := range h.events {
			if slices.ContainsFunc(i.Subjects(), func(filter string) bool { return matches(filter, e.Type.Subject(e.Address)) }) {
				its = append(its, e)
			}
		}
		if got, _ := view(its).Of(i.Scope); !reflect.DeepEqual(got, i) {
			t.Errorf("by its own subjects:\n%+v\nby all:\n%+v", got, i)
		}
	}
}

func matches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	if len(f) != len(s) {
		return false
	}
	for n := range f {
		if f[n] != "*" && f[n] != s[n] {
			return false
		}
	}
	return true
}

// everything has an event of every type that is taken.
func everything() *history {
	h := (&history{}).observed().rejected().rendered().unchanged().renderFailed(events.ReasonSyntax).
		applied().completed().failed().degraded().held("h").approved("h").withdrawn(events.ActionHeld).
		detected("k").resolved("k", false).persisted("l").unreachable().recovered().invalid("web", "f").listed("local", "f", "web")
	return h
}

// An application that is declared again has another life: what was wrong with
// the former, as its alert remembers, stays over.
func TestDeclaredAgain(t *testing.T) {
	h := (&history{}).observed().failed().declared("local")
	s := incident.Scope{Kind: incident.Convergence, Address: web}
	ended := one(t, view(h.events).Closed())
	h.add(s.Alert(), &events.AlertDelivered{Thread: "1", Event: ended.Closed.Event, Place: ended.Closed.Stored, Resolved: true})
	h.degraded().declared("local", "web")
	if i := one(t, view(h.events).Closed()); !i.Late() || i.Closed.How != "it is no longer declared" {
		t.Errorf("a late word of the former life: %+v", i)
	}
	again := one(t, view(h.observed().failed().events).Open())
	h.add(s.Alert(), &events.AlertDelivered{Thread: "2", Event: again.EventID(), Place: again.Place()}).completed()
	done := one(t, view(h.events).Closed())
	// Of one life, what comes after its end is new, whatever its revision.
	h.add(s.Alert(), &events.AlertDelivered{Thread: "2", Event: done.EventID(), Place: done.Place(), Resolved: true}).degraded()
	one(t, view(h.events).Open())
}

// Without its body a list ends nothing.
func TestListWithoutItsBody(t *testing.T) {
	h := (&history{}).observed().renderFailed(events.ReasonSyntax).declared("local")
	var v incident.View
	for _, e := range h.events {
		v.Add(e)
	}
	one(t, v.Open())
	lacking := v.Missing()
	if len(lacking) != 1 || lacking[0].Digest != "list:" {
		t.Fatalf("Missing = %+v", lacking)
	}
	v.Declare(lacking[0], map[string]bool{})
	i := one(t, v.Closed())
	if closed := i.Closed; i.Late() || closed.How != "it is no longer declared" || closed.Stored != 3 || len(v.Missing()) != 0 {
		t.Errorf("%+v", closed)
	}
	// What is said of it later is over when it is said, and not before.
	h.renderFailed(events.ReasonKustomize)
	v.Add(h.events[3])
	if i := one(t, v.Closed()); i.Closed.Stored != 4 || !i.Late() {
		t.Errorf("said later: %+v", i)
	}
}

// steps are what a pipeline may say next.
func steps(r *rand.Rand) []func(h *history) *history {
	key := string(rune('k' + r.IntN(2)))
	hold := string(rune('g' + r.IntN(2)))
	return []func(h *history) *history{
		(*history).observed, (*history).rejected, (*history).rendered, (*history).unchanged,
		func(h *history) *history { return h.renderFailed(events.ReasonSyntax) },
		func(h *history) *history { return h.renderFailed(events.ReasonKustomize) },
		(*history).applied, (*history).completed, (*history).failed, (*history).degraded,
		func(h *history) *history { return h.held(hold) },
		func(h *history) *history {
			for _, e := range slices.Backward(h.events) {
				switch p := e.Data.(type) {
				case *events.ApprovalGiven:
					return h // once is enough
				case *events.ConvergenceHeld:
					return h.approved(p.Hold)
				}
			}
			return h.approved(hold) // and nothing waits for it
		},
		func(h *history) *history {
			if slices.ContainsFunc(h.events, gone) {
				return h // what is gone is not held
			}
			return h.withdrawn(events.ActionHeld)
		},
		func(h *history) *history { return h.withdrawn(events.ActionPruned) },
		func(h *history) *history { return h.detected(key) },
		func(h *history) *history { return h.persisted(key) },
		func(h *history) *history { return h.resolved(key, false) },
		func(h *history) *history { return h.resolved(key, true) },
		(*history).unreachable, (*history).recovered,
		func(h *history) *history { return h.invalid(key, fmt.Sprintf("f%d", r.IntN(3))) },
		func(h *history) *history {
			return h.listed("local", fmt.Sprintf("f%d", r.IntN(3)), []string{"k", "l"}[r.IntN(2):1+r.IntN(2)]...)
		},
		func(h *history) *history { return h.declared("local", []string{"api", "web"}[:r.IntN(3)]...) },
		func(h *history) *history { return h.declared("far") },
	}
}

func gone(e events.Event) bool {
	p, ok := e.Data.(*events.ApplicationWithdrawn)
	return ok && p.Outcome != events.ActionHeld
}

// oracle follows a log in its order, one event at a time.
type oracle struct {
	open     map[incident.Scope]bool
	place    map[incident.Scope]uint64 // of the revision that it is open of
	lacks    uint64                    // the place of the newest list, where that lacks web
	hold     string
	held     uint64 // the revision that is held
	approved bool
}

func (o *oracle) next(e events.Event) {
	at := func(kind incident.Kind) incident.Scope { return incident.Scope{Kind: kind, Address: e.Address} }
	end := func(kinds ...incident.Kind) {
		for _, kind := range kinds {
			delete(o.open, at(kind))
		}
	}
	for _, kind := range incident.Kinds {
		if slices.Contains(incident.Opened(e.Type, e.Address), at(kind)) {
			o.place[at(kind)] = cmp.Or(e.Sequence, e.Stored)
		}
	}
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		end(incident.Commit, incident.Withdrawal)
	case *events.CommitRejected:
		o.open[at(incident.Commit)] = true
	case *events.ManifestsRendered, *events.ManifestsUnchanged:
		end(incident.Render)
	case *events.RenderFailed:
		o.open[at(incident.Render)] = true
	case *events.ConvergenceCompleted:
		end(incident.Convergence, incident.Hold)
	case *events.ConvergenceFailed, *events.ConvergenceDegraded:
		o.open[at(incident.Convergence)] = true
	case *events.ConvergenceHeld:
		o.open[at(incident.Hold)], o.hold, o.held, o.approved = true, p.Hold, e.Sequence, false
	case *events.ApprovalGiven:
		o.approved = o.approved || p.Hold == o.hold
	case *events.ConvergenceApplied:
		if o.approved || e.Sequence > o.held {
			end(incident.Hold)
		}
	case *events.ApplicationWithdrawn:
		if p.Outcome == events.ActionHeld {
			o.open[at(incident.Withdrawal)] = true
		} else {
			end(incident.Withdrawal, incident.Render, incident.Commit, incident.Convergence, incident.Hold)
		}
	case *events.DivergencePersisted:
		o.open[at(incident.Divergence)] = true
	case *events.DivergenceResolved:
		end(incident.Divergence)
	case *events.SourceUnreachable:
		o.open[at(incident.Source)] = true
	case *events.SourceRecovered:
		end(incident.Source)
	case *events.FleetRejected:
		o.open[at(incident.Declaration)] = true
	case *events.FleetObserved:
		if e.Cluster != "local" {
			return
		}
		o.lacks = e.Stored
		if p.List.Digest == "" || strings.Contains(p.List.Digest, "web") {
			o.lacks = 0
		}
		for s := range o.open {
			if s.Kind == incident.Declaration {
				o.open[s] = slices.Contains(p.Rejections, s.Address.Key)
			}
		}
	}
}

// isOpen is whether a scope is open, as far as its application is declared.
func (o *oracle) isOpen(s incident.Scope) bool {
	ends := s.Kind == incident.Render || s.Kind == incident.Commit || s.Kind == incident.Convergence || s.Kind == incident.Hold
	return o.open[s] && !(ends && o.place[s] < o.lacks)
}

// TestStateSpace follows random logs: the view says what one who follows the
// log says, whatever the order and however often the events come, and from the
// last event of each subject alone.
func TestStateSpace(t *testing.T) {
	const logs, length = 3000, 14
	for seed := range uint64(logs) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := &history{}
		o := oracle{open: map[incident.Scope]bool{}, place: map[incident.Scope]uint64{}}
		for range length {
			all := steps(r)
			before := len(h.events)
			for _, e := range all[r.IntN(len(all))](h).events[before:] {
				o.next(e)
			}
		}
		want := view(h.events)
		var shuffled []events.Event
		for _, n := range r.Perm(2 * len(h.events)) {
			shuffled = append(shuffled, h.events[n/2])
		}
		got := view(shuffled)
		if !reflect.DeepEqual(got.Open(), want.Open()) || !reflect.DeepEqual(got.Closed(), want.Closed()) {
			t.Fatalf("seed %d: shuffled, open are\n%+v\nin order\n%+v", seed, got.Open(), want.Open())
		}
		for _, i := range append(want.Open(), want.Closed()...) {
			if i.Open() != o.isOpen(i.Scope) {
				t.Fatalf("seed %d: %s is open: %t, of one who follows the log: %t\n%s", seed, i.Kind, i.Open(), o.isOpen(i.Scope), names(h.events))
			}
		}
		if a, b := states(view(lastOfEach(h.events))), states(want); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: by the last of each subject %v, by all %v\n%s", seed, a, b, names(h.events))
		}
	}
}

// states is what there is to do about the incidents of a view: how each
// stands, and by which event.
func states(v *incident.View) map[incident.Scope]string {
	all := map[incident.Scope]string{}
	for _, i := range append(v.Open(), v.Closed()...) {
		if i.Kind == incident.Withdrawal && !i.Open() {
			continue // what was held lies on the subject of what took its place
		}
		all[i.Scope] = fmt.Sprintf("open %t, %s, %s", i.Open(), i.EventID(), i.Says())
	}
	return all
}

func lastOfEach(all []events.Event) []events.Event {
	last := map[string]events.Event{}
	for _, e := range all {
		last[e.Type.Subject(e.Address)] = e
	}
	var left []events.Event
	for _, e := range last {
		left = append(left, e)
	}
	return left
}

func names(all []events.Event) string {
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, "%d %s seq %d key %s %+v\n", e.Stored, e.Type.Name(), e.Sequence, e.Key, e.Data)
	}
	return b.String()
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// checkAlerts decides what of I8 concerns people. Within a life of the log an
// incident has one thread from its first alert until it is said to be over, and
// that is said once. What an event says to be in Slack is there, and nothing
// else is, but where a crash or a lost answer came between a message and its
// event. And when the notifier had its time, what is wrong has been told, and
// of what is over that it is.
func checkAlerts(h History) []finding {
	a := newAlerts()
	for i, r := range h {
		a.take(i, r)
	}
	return append(a.found, a.slack()...)
}

// matters are the events that open a matter which people are told of, and those
// that close it, by its kind.
var matters = map[string]struct{ opens, closes []string }{
	"render":      {[]string{"render.failed"}, []string{"manifests.rendered", "manifests.unchanged"}},
	"convergence": {[]string{"convergence.failed", "convergence.degraded"}, []string{"convergence.completed"}},
	"divergence":  {[]string{"divergence.persisted"}, []string{"divergence.resolved"}},
	"source":      {[]string{"source.unreachable"}, []string{"source.recovered"}},
}

// matter is one thing that may be wrong: a kind of it, of an application or of
// a key.
type matter struct{ kind, app, key string }

// alerts is what people were told, and what they should be.
type alerts struct {
	events   map[string]Event    // by id
	last     map[string]Alert    // by incident, in this life of the log
	of       map[string]matter   // what an incident is about, by its key, as far as that is known
	open     map[matter]bool     // false: it was, and is over
	declared map[string]bool     // applications
	named    map[string]int      // messages that events name, and where
	posted   map[string]*Message // in Slack
	asked    bool                // Slack was, at the end
	excused  [][2]time.Time      // from when to when a message may lack its event
	rest     bool                // the last excuse goes on
	found    []finding
	end      int
}

func newAlerts() *alerts {
	return &alerts{
		events: map[string]Event{}, last: map[string]Alert{}, of: map[string]matter{}, open: map[matter]bool{},
		declared: map[string]bool{}, named: map[string]int{}, posted: map[string]*Message{},
	}
}

// excuses are the rows whose faults may come between a message and its event:
// they end the notifier, or let it sleep, lose Slack's answer, or the log.
var excuses = []string{"F4", "F5", "F10", "F32", "F35"}

func (a *alerts) take(i int, r Record) {
	a.end = i
	switch {
	case r.Log != nil:
		a.last, a.of, a.open = map[string]Alert{}, map[string]matter{}, map[matter]bool{}
	case r.Ref != nil && r.Ref.Op == OpFleet:
		a.declare(r.Ref.Apps)
	case r.Begun != nil && slices.Contains(excuses, r.Begun.Row):
		a.excused = append(a.excused, [2]time.Time{r.At, {}})
		a.rest = true
	case r.Quiet != nil && a.rest:
		a.excused[len(a.excused)-1][1], a.rest = r.At, false
	case r.Event != nil && r.Event.Alert != nil:
		a.tell(i, *r.Event)
	case r.Event != nil:
		a.hear(*r.Event)
	case r.Slack != nil:
		a.posted[r.Slack.TS] = r.Slack
	case r.Told:
		a.asked = true
		for _, text := range a.due() {
			a.found = append(a.found, finding{"I8", i, text})
		}
	}
}

// declare forgets what was wrong with applications that come or go: another
// life of them begins.
func (a *alerts) declare(apps []App) {
	now := map[string]bool{}
	for _, app := range apps {
		now[app.Name] = true
	}
	maps.DeleteFunc(a.open, func(m matter, _ bool) bool { return m.app != "" && now[m.app] != a.declared[m.app] })
	a.declared = now
}

// hear opens and closes matters.
func (a *alerts) hear(e Event) {
	a.events[e.ID] = e
	for kind, m := range matters {
		switch {
		case slices.Contains(m.opens, e.Type):
			a.open[matter{kind, e.App, e.Key}] = true
		case slices.Contains(m.closes, e.Type):
			if _, ever := a.open[matter{kind, e.App, e.Key}]; ever {
				a.open[matter{kind, e.App, e.Key}] = false
			}
		}
	}
}

// tell takes what one alert says.
func (a *alerts) tell(i int, e Event) {
	now := *e.Alert
	for _, ts := range []string{now.Thread, now.Message} {
		if ts != "" {
			a.named[ts] = i
		}
	}
	about := a.events[now.Event]
	for kind, m := range matters {
		if slices.Contains(m.opens, about.Type) {
			a.of[e.Key] = matter{kind, about.App, about.Key}
		}
	}
	was, ever := a.last[e.Key]
	a.last[e.Key] = now
	text := ""
	switch {
	case !ever:
	case !was.Resolved && now.Thread != was.Thread:
		text = "is open, and has a second thread in Slack"
	case was.Resolved && now.Resolved && now.Event == was.Event:
		text = "is said to be over twice"
	case was.Resolved && now.Thread == was.Thread && !now.Digest:
		text = "is said to be over, and its thread goes on"
	}
	if text != "" {
		a.found = append(a.found, finding{"I8", i, fmt.Sprintf("the incident %s of %s (%v) %s", e.Key, e.App, a.of[e.Key], text)})
	}
}

// due is what people are still to be told.
func (a *alerts) due() []string {
	told := map[matter]Alert{}
	for key, m := range a.of {
		told[m] = a.last[key]
	}
	var all []string
	for m, open := range a.open {
		alert, ever := told[m]
		switch {
		case m.app != "" && !a.declared[m.app]:
		case open && (!ever || alert.Resolved):
			all = append(all, fmt.Sprintf("nobody was told of what is wrong: %v", m))
		case !open && ever && !alert.Resolved:
			all = append(all, fmt.Sprintf("nobody was told that it is over: %v", m))
		}
	}
	slices.Sort(all)
	return all
}

// crashLag is how long before a fault began a message may have been posted that
// the fault kept from being told of.
const crashLag = time.Second

// slack compares what events say to be in Slack with what is; a seed that was not
// played to its end did not look.
func (a *alerts) slack() []finding {
	var found []finding
	if !a.asked || len(a.posted) == 0 && len(a.named) == 0 {
		return nil
	}
	for _, ts := range slices.Sorted(maps.Keys(a.named)) {
		if a.posted[ts] == nil {
			found = append(found, finding{"I8", a.named[ts], "the message " + ts + " is said to be in Slack, and isn't"})
		}
	}
	for _, ts := range slices.Sorted(maps.Keys(a.posted)) {
		if _, named := a.named[ts]; !named && !a.excuse(a.posted[ts].Posted) {
			found = append(found, finding{"I8", a.end, fmt.Sprintf("the message %s is in Slack, and no event says so: %.80s", ts, a.posted[ts].Text)})
		}
	}
	return found
}

func (a *alerts) excuse(at time.Time) bool {
	return slices.ContainsFunc(a.excused, func(span [2]time.Time) bool {
		return at.After(span[0].Add(-crashLag)) && (span[1].IsZero() || at.Before(span[1]))
	})
}

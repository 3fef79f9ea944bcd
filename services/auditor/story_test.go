// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// heard is the divergence events of an application so far, in order.
func (a *app) heard() []events.Event {
	a.t.Helper()
	var all []events.Event
	filter := events.Root + ".divergence.*.local." + events.EncodeToken(a.declaration.Application) + ".*"
	_, err := a.reader.Read(a.t.Context(), bus.Range{Filter: filter}, func(record bus.Record) error {
		if record.Err != nil {
			return record.Err
		}
		all = append(all, record.Event)
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// story is what was heard, as text: "detected ConfigMap/settings, ...".
func story(all []events.Event) string {
	var words []string
	for _, e := range all {
		d := divergenceOf(e)
		name := "revision"
		if d.Object != nil {
			name = d.Object.Kind + "/" + d.Object.Name
		}
		word := e.Type.Verb + " " + name
		if resolved, ok := e.Data.(*events.DivergenceResolved); ok {
			word += " " + resolved.How
		} else {
			word += " " + string(d.Kind)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func divergenceOf(e events.Event) events.Divergence {
	switch data := e.Data.(type) {
	case *events.DivergenceDetected:
		return data.Divergence
	case *events.DivergencePersisted:
		return data.Divergence
	case *events.DivergenceResolved:
		return data.Divergence
	}
	return events.Divergence{}
}

// hears waits until the application's story is want, and returns its events. It
// reads the log, which costs, when something new is said: at once, and a moment
// later for what was said before it was stored; and now and then.
func (a *app) hears(want string) []events.Event {
	a.t.Helper()
	said := make(chan *nats.Msg, 64)
	heard, err := a.listener.ChanSubscribe(events.Root+".divergence.*.local."+events.EncodeToken(a.declaration.Application)+".*", said)
	if err != nil {
		a.t.Fatal(err)
	}
	defer heard.Unsubscribe() //nolint:errcheck // the connection ends with the test
	var all []events.Event
	var got string
	soon, longest := 5*time.Millisecond, 200*time.Millisecond
	wait := soon
	for deadline := time.Now().Add(bustest.Timeout); time.Now().Before(deadline); {
		if all = a.heard(); story(all) == want {
			return all
		}
		got = story(all)
		select {
		case <-said:
			wait = soon
		case <-time.After(wait):
			wait = min(2*wait, longest)
		}
	}
	a.t.Fatalf("%s: heard %q, want %q", a.declaration.Application, got, want)
	return nil
}

// quiet makes sure that nothing more than want is heard: it has the auditor
// find a marker that is changed after what is being tested, and then counts.
func (a *app) quiet(want string) {
	a.t.Helper()
	marker := a.marker()
	marker.edit("/data/k", "changed")
	marker.hears("detected ConfigMap/" + marker.name() + " changed")
	if got := story(a.heard()); got != want {
		a.t.Fatalf("%s: heard %q, want %q", a.declaration.Application, got, want)
	}
	marker.converge(configMap(marker.name(), "k", "v"))
	marker.hears("detected ConfigMap/" + marker.name() + " changed, resolved ConfigMap/" + marker.name() + " healed")
}

type markerApp struct{ *app }

func (m markerApp) name() string { return m.declaration.Application }

func (m markerApp) edit(pointer, value string) {
	m.t.Helper()
	m.patch(gvk("", "v1", "ConfigMap"), m.name(), fmt.Sprintf(`[{"op":"replace","path":%q,"value":%q}]`, pointer, value))
}

var markers atomic.Int64

func (a *app) marker() markerApp {
	a.t.Helper()
	m := markerApp{a.rig.app(fmt.Sprintf("marker-%d", markers.Add(1)))}
	m.converge(configMap(m.name(), "k", "v"))
	return m
}

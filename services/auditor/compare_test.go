// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

// TestHugeDivergenceFitsAnEvent has thousands of long fields differ.
func TestHugeDivergenceFitsAnEvent(t *testing.T) {
	desired, live := map[string]any{}, map[string]any{}
	for i := range 3000 {
		name := fmt.Sprintf("%s-%d", strings.Repeat(`"\`, 100), i)
		desired[name], live[name] = strings.Repeat("\x01", 500), strings.Repeat("\x02", 500)
	}
	result := compare.Bodies(map[string]any{"data": desired}, map[string]any{"data": live}, compare.Comparing{})
	app := newApplication("local", "huge")
	app.manifests = &events.Manifests{}
	v := Verdict{State: Differs, Kind: events.DivergenceChanged, Differences: result.Differences}
	object := declared{events.DeclaredObject{Object: web}}
	d := app.divergence(Key("local", "huge", web.Key()), object, v, metav1.Now().Time)
	if d.FieldCount != 3000 || len(d.Fields) == 0 {
		t.Errorf("%d of %d fields", len(d.Fields), d.FieldCount)
	}
	typ := events.TypeNamed("divergence.detected")
	_, _, err := events.Encode(events.Event{
		ID: "x", Source: "plumbline://auditor/local", Type: typ, Time: metav1.Now().Time, Epoch: "e", Sequence: 1,
		Address: events.Address{Cluster: "local", Application: "huge", Key: d.Key}, Data: &events.DivergenceDetected{Divergence: d},
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", CorrelationID: "c", CausationID: "c",
		StageStart: metav1.Now().Time, StageEnd: metav1.Now().Time,
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNextDoubt(t *testing.T) {
	was := Meta{UID: "u", ResourceVersion: "5", Generation: 2, Digest: "A", Ours: Entry{Fields: "f"}, All: "all", Surface: "s"}
	with := func(change func(*Meta)) Meta { is := was; is.ResourceVersion = "6"; change(&is); return is }
	for name, c := range map[string]struct {
		is   Meta
		want int
	}{
		"the same version":            {was, 3},
		"another's write":             {with(func(m *Meta) { m.All = "more" }), 3},
		"an unexplained write":        {with(func(m *Meta) { m.Generation = 3 }), 4},
		"a status write in a second":  {with(func(*Meta) {}), 3},
		"unexplained, no generations": {with(func(m *Meta) { m.Generation = 0 }), 4},
		"a later time of ours":        {with(func(m *Meta) { m.Ours.Time = metav1.Now().Time; m.All = "more" }), 4},
		"our entry changed":           {with(func(m *Meta) { m.Ours.Fields = "g"; m.All = "more" }), 4},
		"another digest":              {with(func(m *Meta) { m.Digest = "B"; m.All = "more" }), 0},
		"another object":              {with(func(m *Meta) { m.UID = "v" }), 1},
	} {
		if got := nextDoubt(3, was, c.is); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := nextDoubt(0, Meta{}, was); got != 0 {
		t.Errorf("an object that was seen to be made: %d", got)
	}
}

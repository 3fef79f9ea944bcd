// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

func TestDecodeReadsWhatEncodeWrites(t *testing.T) {
	for i := range events.Types {
		typ := &events.Types[i]
		for seed := range uint64(50) {
			t.Run(fmt.Sprintf("%s/%d", typ.Name(), seed), func(t *testing.T) {
				want := randomEvent(rand.New(rand.NewPCG(seed, uint64(i))), typ)
				headers, body := encode(t, want)
				got, err := events.Decode(typ.Subject(want.Address), headers, body, want.Stored)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *events.Type) bool { return a == b }),
					cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
					t.Errorf("read back (-wrote +read):\n%s", diff)
				}
				if _, again := encode(t, got); !bytes.Equal(body, again) {
					t.Errorf("encoded again:\n%s\nbefore:\n%s", again, body)
				}
			})
		}
	}
}

func TestAnyCloudEventsSDKReadsAnEvent(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range events.Types {
		want := randomEvent(r, &events.Types[i])
		_, body := encode(t, want)
		var got cloudevents.Event
		if err := got.UnmarshalJSON(body); err != nil {
			t.Fatalf("%s: %v", want.Type.Name(), err)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", want.Type.Name(), err)
		}
		if got.ID() != want.ID || got.Type() != want.Type.CloudEvent() || got.Subject() != want.Application ||
			got.Source() != want.Source || !got.Time().Equal(want.Time) || got.DataSchema() != want.Type.Schema() {
			t.Errorf("the SDK reads %s as\n%s", want.Type.Name(), got)
		}
	}
}

func TestSequence(t *testing.T) {
	e := randomEvent(rand.New(rand.NewPCG(1, 1)), events.TypeNamed("commit.observed"))
	e.Sequence, e.Stored = 99, 7
	headers, body := encode(t, e)
	if strings.Contains(string(body), `"sequence":"`) {
		t.Error("a commit.observed is written with a sequence before it has one")
	}
	got, err := events.Decode(e.Type.Subject(e.Address), headers, body, 12)
	if err != nil {
		t.Fatal(err)
	}
	if got.Sequence != 12 || got.Stored != 12 {
		t.Errorf("sequence %d, stored %d; want 12: its place in the log", got.Sequence, got.Stored)
	}

	e = randomEvent(rand.New(rand.NewPCG(1, 1)), events.TypeNamed("render.failed"))
	e.Sequence = 42
	headers, body = encode(t, e)
	if !strings.Contains(string(body), `"sequence":"00000000000000000042"`) {
		t.Errorf("the sequence is not padded to 20 digits: %s", body)
	}
	if got, err = events.Decode(e.Type.Subject(e.Address), headers, body, 50); err != nil || got.Sequence != 42 {
		t.Errorf("sequence %d (%v), want 42", got.Sequence, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	completed := events.TypeNamed("convergence.completed")
	for name, tc := range map[string]struct {
		typ  string
		edit func(*events.Event)
		want error
	}{
		"no type":              {"sync.requested", func(e *events.Event) { e.Type = nil }, events.ErrInvalid},
		"no id":                {"sync.requested", func(e *events.Event) { e.ID = "" }, events.ErrInvalid},
		"no source":            {"sync.requested", func(e *events.Event) { e.Source = "" }, events.ErrInvalid},
		"source is no URI":     {"sync.requested", func(e *events.Event) { e.Source = "a b" }, events.ErrInvalid},
		"no time":              {"sync.requested", func(e *events.Event) { e.Time = time.Time{} }, events.ErrInvalid},
		"the year 10000":       {"sync.requested", func(e *events.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, events.ErrInvalid},
		"no data":              {"sync.requested", func(e *events.Event) { e.Data = nil }, events.ErrInvalid},
		"nil data":             {"sync.requested", func(e *events.Event) { e.Data = (*events.SyncRequested)(nil) }, events.ErrInvalid},
		"other data":           {"sync.requested", func(e *events.Event) { e.Data = &events.ApprovalGiven{} }, events.ErrInvalid},
		"malformed trace":      {"sync.requested", func(e *events.Event) { e.Traceparent = "00-1-2-3" }, events.ErrInvalid},
		"id is no UTF-8":       {"sync.requested", func(e *events.Event) { e.ID = "a\xff" }, events.ErrInvalid},
		"control character":    {"sync.requested", func(e *events.Event) { e.CausationID = "a\nb" }, events.ErrInvalid},
		"long correlation":     {"sync.requested", func(e *events.Event) { e.CorrelationID = strings.Repeat("x", 1025) }, events.ErrInvalid},
		"no application":       {"commit.observed", func(e *events.Event) { e.Application = "" }, events.ErrInvalid},
		"no cluster":           {"commit.observed", func(e *events.Event) { e.Cluster = "" }, events.ErrInvalid},
		"no cluster of fleet":  {"fleet.observed", func(e *events.Event) { e.Cluster = "" }, events.ErrInvalid},
		"application of fleet": {"fleet.observed", func(e *events.Event) { e.Application = "a" }, events.ErrInvalid},
		"no key":               {"source.recovered", func(e *events.Event) { e.Key = "" }, events.ErrInvalid},
		"a key too many":       {"commit.observed", func(e *events.Event) { e.Key = "k" }, events.ErrInvalid},
		"other declaration": {"commit.observed", func(e *events.Event) {
			e.Data.(*events.CommitObserved).Declaration.Application = "other"
		}, events.ErrInvalid},
		"other divergence": {"divergence.detected", func(e *events.Event) {
			e.Data.(*events.DivergenceDetected).Key = "other"
		}, events.ErrInvalid},
		"a long list inline": {"convergence.applied", func(e *events.Event) {
			e.Data.(*events.ConvergenceApplied).Objects.Items = make([]events.AppliedObject, events.MaxInline+1)
		}, events.ErrInvalid},
		"an impossible time": {"convergence.completed", func(e *events.Event) {
			e.Data.(*events.ConvergenceCompleted).Revision.Author.When = time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 100*3600))
		}, events.ErrInvalid},
		"65 KiB": {completed.Name(), func(e *events.Event) {
			e.Data.(*events.ConvergenceCompleted).Revision.Title = strings.Repeat("x", 65<<10)
		}, events.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			e := randomEvent(rand.New(rand.NewPCG(3, 4)), events.TypeNamed(tc.typ))
			if _, _, err := events.Encode(e); err != nil {
				t.Fatalf("before the edit: %v", err)
			}
			tc.edit(&e)
			if _, _, err := events.Encode(e); !errors.Is(err, tc.want) {
				t.Errorf("Encode = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestIDIsAFunctionOfItsParts(t *testing.T) {
	cause := events.Cause{ID: "tip/shop/refs/heads/main/1"}
	typ := events.TypeNamed("commit.observed")
	a := events.Address{Cluster: "local", Application: "shop-web"}
	id := events.ID(cause, typ, a, "")
	if again := events.ID(events.Cause{ID: cause.ID, Traceparent: "other"}, typ, a, ""); again != id {
		t.Errorf("%s, then %s: an id depends on its trace", id, again)
	}
	seen := map[string]string{id: "itself"}
	for name, other := range map[string]string{
		"cause":       events.ID(events.Cause{ID: cause.ID + "2"}, typ, a, ""),
		"type":        events.ID(cause, events.TypeNamed("commit.rejected"), a, ""),
		"cluster":     events.ID(cause, typ, events.Address{Cluster: "other", Application: "shop-web"}, ""),
		"application": events.ID(cause, typ, events.Address{Cluster: "local", Application: "shop"}, ""),
		"key":         events.ID(cause, typ, events.Address{Cluster: "local", Application: "shop-web", Key: "k"}, ""),
		"variant":     events.ID(cause, typ, a, "k"),
		"shifted":     events.ID(cause, typ, events.Address{Cluster: "localshop-web"}, ""),
	} {
		if before, twice := seen[other]; twice {
			t.Errorf("another %s has the id of %s", name, before)
		}
		seen[other] = name
	}
}

func encode(t *testing.T, e events.Event) (map[string][]string, []byte) {
	t.Helper()
	headers, body, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return headers, body
}

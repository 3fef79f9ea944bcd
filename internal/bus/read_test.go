// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// fill publishes n events, of applications app-0 to app-9 in turn.
func fill(t *testing.T, c *bus.Conn, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		cause := events.Cause{ID: fmt.Sprintf("cause-%d", i)}
		if _, err := c.Publish(t.Context(), cause, lookNow(fmt.Sprintf("app-%d", i%10))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadIsInOrderAndWhole(t *testing.T) {
	s := bustest.Start(t)
	fill(t, s.Connect(t, "operator"), 0, 600) // more than two batches
	for _, user := range []string{"operator", "reader"} {
		c := s.Connect(t, user)
		for name, q := range map[string]struct {
			r           bus.Range
			first, last uint64
			n           int
		}{
			"everything":     {bus.Range{}, 1, 600, 600},
			"from":           {bus.Range{From: 590}, 590, 600, 11},
			"filtered":       {bus.Range{Filter: "plumbline.v1.*.*.*.app-3"}, 4, 594, 60},
			"since long ago": {bus.Range{Since: time.Now().Add(-time.Hour)}, 1, 600, 600},
			"since now":      {bus.Range{Since: time.Now().Add(time.Hour)}, 0, 0, 0},
			"past the end":   {bus.Range{From: 601}, 0, 0, 0},
			"other subjects": {bus.Range{Filter: "plumbline.v1.commit.>"}, 0, 0, 0},
		} {
			t.Run(user+"/"+name, func(t *testing.T) {
				var got []uint64
				next, err := c.Read(t.Context(), q.r, func(r bus.Record) error {
					if r.Err != nil || r.Event.Type.Name() != "sync.requested" || r.Event.Stored != r.Stored {
						t.Errorf("record %+v", r)
					}
					got = append(got, r.Stored)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != q.n || !slices.IsSorted(got) {
					t.Fatalf("%d records, want %d in order: %v", len(got), q.n, got)
				}
				if q.n > 0 && (got[0] != q.first || got[q.n-1] != q.last || next != q.last+1) {
					t.Errorf("from %d to %d, then %d; want from %d to %d", got[0], got[q.n-1], next, q.first, q.last)
				}
			})
		}
	}
}

func TestReadStopsWhereItIsTold(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	fill(t, operator, 0, 5)
	enough := errors.New("enough")
	next, err := operator.Read(t.Context(), bus.Range{}, func(r bus.Record) error {
		if r.Stored == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || next != 3 {
		t.Errorf("Read = %d, %v; want 3, enough", next, err)
	}
}

func TestLatest(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	fill(t, operator, 0, 25)
	got, err := operator.Latest(t.Context(), "plumbline.v1.sync.>")
	if err != nil {
		t.Fatal(err)
	}
	var stored []uint64
	for _, r := range got {
		stored = append(stored, r.Stored)
	}
	if want := []uint64{16, 17, 18, 19, 20, 21, 22, 23, 24, 25}; !slices.Equal(stored, want) {
		t.Errorf("Latest = %v, want %v", stored, want)
	}
	if none, err := operator.Latest(t.Context(), "plumbline.v1.commit.>"); err != nil || len(none) != 0 {
		t.Errorf("Latest of nothing = %v, %v", none, err)
	}
}

// More subjects than the server answers for at once are asked for by name.
func TestLatestOfVeryManySubjects(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	const many = 1100
	for i := range many {
		if _, err := operator.Publish(t.Context(), events.Cause{ID: "many"}, lookNow(fmt.Sprintf("app-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	again, err := operator.Publish(t.Context(), events.Cause{ID: "again"}, lookNow("app-7"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := operator.Latest(t.Context(), "plumbline.v1.>", "plumbline.v1.sync.>")
	if err != nil || len(got) != many {
		t.Fatalf("Latest = %d records, %v; want %d", len(got), err, many)
	}
	if !slices.IsSortedFunc(got, func(a, b bus.Record) int { return cmp.Compare(a.Stored, b.Stored) }) {
		t.Error("they are not in the order of the log")
	}
	if last := got[many-1]; last.Stored != again[0].Stored {
		t.Errorf("the last one is %d, want the newest of app-7, %d", last.Stored, again[0].Stored)
	}
}

// What is published while it reads on is neither left out nor there twice.
func TestLatestWhileSubjectsChange(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	const many, size = 100, 60 << 10
	large := func(cause string, app int) uint64 {
		stored, err := operator.Publish(t.Context(), events.Cause{ID: cause}, events.Draft{
			Data: &events.SyncRequested{By: strings.Repeat("x", size)}, Address: events.Address{Application: fmt.Sprintf("app-%d", app)},
		})
		if err != nil {
			t.Error(err)
			return 0
		}
		return stored[0].Stored
	}
	for app := range many {
		large("first", app)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			large(fmt.Sprintf("again %d", i), i*7%many)
		}
	}()
	for before := uint64(many); ; {
		records, err := operator.Latest(t.Context(), "plumbline.v1.sync.>", "plumbline.v1.*.requested.>")
		if err != nil {
			t.Fatal(err)
		}
		subjects := map[string]bool{}
		for _, r := range records {
			subjects[r.Subject] = true
		}
		if len(records) != many || len(subjects) != many || records[many-1].Stored < before {
			t.Fatalf("%d records of %d subjects, the last at %d; want %d, at least at %d", len(records), len(subjects), records[len(records)-1].Stored, many, before)
		}
		before = records[many-1].Stored
		select {
		case <-done:
			return
		default:
		}
	}
}

// The server ends an answer that is too large before it has said everything.
func TestReadGoesOnAfterALargeAnswer(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	const many, size = 100, 60 << 10 // one answer holds 4 MiB
	var last uint64
	for i := range many {
		draft := events.Draft{
			Data:    &events.SyncRequested{By: strings.Repeat("x", size)},
			Address: events.Address{Application: fmt.Sprintf("app-%d", i)},
		}
		stored, err := operator.Publish(t.Context(), events.Cause{ID: "large"}, draft)
		if err != nil {
			t.Fatal(err)
		}
		last = stored[0].Stored
	}
	read := 0
	next, err := operator.Read(t.Context(), bus.Range{}, func(bus.Record) error { read++; return nil })
	if err != nil || read != many || next != last+1 {
		t.Errorf("Read = %d records, then %d, %v; want %d, %d", read, next, err, many, last+1)
	}
	latest, err := operator.Latest(t.Context(), "plumbline.v1.sync.>")
	if err != nil || len(latest) != many {
		t.Errorf("Latest = %d records, %v; want %d", len(latest), err, many)
	}
}

// Messages without a text are passed over, and what comes after them is found.
func TestReadHolding(t *testing.T) {
	s := bustest.Start(t)
	operator := s.Connect(t, "operator")
	fill(t, operator, 0, 600)
	published, err := operator.Publish(t.Context(), events.Cause{ID: "wanted"}, lookNow("wanted"))
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	next, err := operator.Read(t.Context(), bus.Range{Holding: published[0].ID}, func(r bus.Record) error {
		got = append(got, r.Stored)
		return nil
	})
	if want := published[0].Stored; err != nil || !slices.Equal(got, []uint64{want}) || next != want+1 {
		t.Errorf("Read = %d, %d, %v; want %d", got, next, err, want)
	}
}

func TestFollowLeavesNothingOutOverARestart(t *testing.T) {
	s := bustest.Start(t)
	operator, reader := s.Connect(t, "operator"), s.Connect(t, "reader")
	fill(t, operator, 0, 300)
	got := make(chan uint64, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- reader.Follow(ctx, bus.Range{From: 1}, func(r bus.Record) error { got <- r.Stored; return nil })
	}()
	expect := func(from, to uint64) {
		t.Helper()
		for want := from; want <= to; want++ {
			select {
			case stored := <-got:
				if stored != want {
					t.Fatalf("event %d, want %d", stored, want)
				}
			case <-time.After(bustest.Timeout):
				t.Fatalf("event %d does not come", want)
			}
		}
	}
	expect(1, 300)
	fill(t, operator, 300, 20)
	expect(301, 320)
	s.Restart(t)
	fill(t, operator, 320, 20)
	expect(321, 340)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v", err)
	}
}

func TestFollowBeginsAnewWithTheLog(t *testing.T) {
	s := bustest.Start(t)
	operator, reader := s.Connect(t, "operator"), s.Connect(t, "reader")
	fill(t, operator, 0, 10)
	got := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = reader.Follow(ctx, bus.Range{From: 1}, func(r bus.Record) error { got <- r.Event.CausationID; return nil })
	}()
	expect := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			select {
			case cause := <-got:
				if want := fmt.Sprintf("cause-%d", i); cause != want {
					t.Fatalf("event of %s, want %s", cause, want)
				}
			case <-time.After(bustest.Timeout):
				t.Fatalf("the event of cause-%d does not come", i)
			}
		}
	}
	expect(0, 10)
	store := s.Store()
	s.Down(t)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
	fill(t, operator, 100, 3)
	expect(100, 103)
}

func TestServicesMayNotReadEverything(t *testing.T) {
	s := bustest.Start(t)
	if _, err := s.Connect(t, "applier-local").Read(t.Context(), bus.Range{}, func(bus.Record) error { return nil }); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("Read as a service: %v, want ErrDenied", err)
	}
}

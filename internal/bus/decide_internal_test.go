// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/fault"
)

var errSome = errors.New("some error")

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err      error
		stopping bool
		want     class
	}{
		{nil, false, classDone},
		{nil, true, classDone},
		{errSome, false, classRetry},
		{errSome, true, classShutdown},
		{context.Canceled, false, classRetry},
		{fmt.Errorf("x: %w", context.Canceled), true, classShutdown},
		{fault.Terminal("r", "m", errSome), false, classTerminal},
		{fault.Terminal("r", "m", errSome), true, classTerminal},
		{fault.Terminal("r", "m", context.Canceled), true, classShutdown},
		{fault.Outage("d", errSome), false, classOutage},
		{fault.Outage("d", errSome), true, classShutdown},
		{fault.RetryAfter(errSome, time.Second), false, classLater},
		{fault.Outage("d", fault.RetryAfter(errSome, time.Second)), false, classOutage},
		{fmt.Errorf("x: %w", ErrConflict), false, classConflict},
	} {
		got, said := classify(c.err, c.stopping)
		if got != c.want {
			t.Errorf("classify(%v, %v) = %s, want %s", c.err, c.stopping, got, c.want)
		}
		want := failure{}
		if c.want == classTerminal {
			want = failure{"r", "m"}
		}
		if said != want {
			t.Errorf("classify(%v, %v) says %+v, want %+v", c.err, c.stopping, said, want)
		}
	}
}

var classes = []class{classDone, classRetry, classLater, classTerminal, classOutage, classConflict, classShutdown}

// Every class under every record.
func TestDecideStateSpace(t *testing.T) {
	for _, c := range classes {
		for failures := range 6 {
			for bits := range 4 {
				r := record{ID: "e", Failures: failures, Open: bits&1 != 0, Alone: bits&1 != 0, Quarantined: bits&2 != 0}
				v := decide(c, r, 7*time.Second)
				name := fmt.Sprintf("decide(%s, %+v) = %+v", c, r, v)
				counts := c == classRetry
				switch {
				case v.record.Open, v.record.Alone, v.record.Deaths != 0:
					t.Errorf("%s: still open", name)
				case counts != (v.record.Failures == failures+1), !counts && v.record.Failures != failures:
					t.Errorf("%s: counted wrongly", name)
				case v.quarantine && (!counts || r.Quarantined || !v.record.Quarantined):
					t.Errorf("%s: quarantined wrongly", name)
				case counts && v.record.Failures >= limit && !v.record.Quarantined:
					t.Errorf("%s: not quarantined", name)
				case r.Quarantined && !v.record.Quarantined:
					t.Errorf("%s: the quarantine is forgotten", name)
				case (v.ack == ackDone) != (c == classDone), (v.ack == ackTerm) != (c == classTerminal), (v.ack == ackKeep) != (c == classOutage || c == classShutdown):
					t.Errorf("%s: acknowledged wrongly", name)
				case v.listed != counts, c == classLater && v.delay != 7*time.Second, c == classShutdown && v.delay != 0:
					t.Errorf("%s: delayed wrongly", name)
				}
			}
		}
	}
}

// life is one input's life over many deliveries, with the ledger as the bus
// keeps it. What happens at each is drawn at random; "died" is the end of the
// process in the handler.
type life struct {
	ledger               record
	called, died, failed int // handler calls, deaths, own failures
	alone                int // deaths while nothing else was worked on
	quarantines          int
}

const died class = "died"

// deliver is one delivery, the nth.
func (l *life) deliver(n int, what class) verdict {
	var r record
	var a admission
	if n > 1 {
		a = admit("e", l.ledger)
		l.ledger = a.record
		if !a.call {
			l.quarantines++
			return verdict{ack: ackNak, listed: true}
		}
		r = a.record
	}
	l.called++
	if what == died {
		l.died++
		if a.alone {
			l.alone++
		}
		return verdict{}
	}
	if what == classRetry {
		l.failed++
	}
	v := decide(what, r, 0)
	if v.quarantine {
		l.quarantines++
	}
	if (v.ack == ackKeep || v.ack == ackNak) && (r.Open || v.record.Failures > 0) {
		v.record.ID = "e"
		l.ledger = v.record
	}
	return v
}

func TestLivesOfInputs(t *testing.T) {
	whats := append([]class{died, died, died}, classes...)
	for seed := range uint64(20_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var l life
		var story []class
		harmless := true
		for n := 1; n <= 12; n++ {
			what := whats[rng.IntN(len(whats))]
			story = append(story, what)
			v := l.deliver(n, what)
			harmless = harmless && what != died && what != classRetry
			said := l.quarantines > 0
			switch {
			case l.quarantines > 1:
				t.Fatalf("seed %d %v: quarantined twice", seed, story)
			case said && l.alone+l.failed < limit:
				t.Fatalf("seed %d %v: quarantined after %d deaths alone and %d failures", seed, story, l.alone, l.failed)
			case said && harmless:
				t.Fatalf("seed %d %v: quarantined without a fault of its own", seed, story)
			case !said && (what != died && l.alone+l.failed >= limit || l.alone+l.failed > limit):
				t.Fatalf("seed %d %v: not quarantined after %d deaths alone and %d failures", seed, story, l.alone, l.failed)
			}
			if v.ack == ackDone || v.ack == ackTerm {
				break
			}
		}
	}
}

// An input that ends its process every time does so twice beside others, which
// accuses nobody, and three times alone before it is counted out; and then once
// for each time that it is tried again.
func TestDeathsBeforeQuarantine(t *testing.T) {
	var l life
	n := 1
	for ; l.quarantines == 0; n++ {
		l.deliver(n, died)
	}
	if l.died != 5 || l.alone != 3 {
		t.Errorf("%d deaths, %d of them alone", l.died, l.alone)
	}
	if l.deliver(n, classDone); l.called != 6 {
		t.Error("it is not tried again")
	}
}

func TestBackoffAsNak(t *testing.T) {
	list := backoff{2 * time.Second, 5 * time.Second, 10 * time.Second}
	for n := 1; n < 6; n++ {
		// The server waits for the list's delay, from the moment that the nak
		// puts behind by the first of the list and ahead by what it names.
		waits := func(nak time.Duration) time.Duration { return list.after(n) - list.after(1) + nak }
		for _, want := range []time.Duration{list.after(n), time.Millisecond, time.Minute} {
			if got := waits(list.asNak(n, want)); got != want {
				t.Errorf("delivery %d: %s, want %s", n, got, want)
			}
		}
	}
	if got := (backoff{}).after(3); got <= 0 {
		t.Errorf("without a list: %s", got)
	}
}

func TestTraceparent(t *testing.T) {
	a := newTraceparent("repository@a")
	if a != newTraceparent("repository@a") || a == newTraceparent("repository@b") || len(a) != 55 {
		t.Errorf("newTraceparent = %q", a)
	}
}

func TestQueues(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		q := newQueues()
		busy := map[string]*task{}
		waiting := map[string]map[uint64]bool{"a": {}, "b": {}, "c": {}}
		order := rng.Perm(60) // messages come in any order, and come again
		for i := range 120 {
			step, at := rng.IntN(3), i/2
			if seed%2 == 0 && i < 60 { // much comes before anything is done
				step, at = 0, i
			}
			switch step {
			case 0:
				stored := uint64(order[at])
				key := string(rune('a' + stored%3))
				if q.add(&task{key: key, id: messageID{stored: stored}, delivery: &delivery{}}) {
					waiting[key][stored] = true
				}
			case 1:
				tk := q.next()
				if tk == nil {
					for key, w := range waiting {
						if busy[key] == nil && len(w) > 0 {
							t.Fatalf("seed %d: %s waits and nobody is at it", seed, key)
						}
					}
					continue
				}
				if busy[tk.key] != nil {
					t.Fatalf("seed %d: %s is at work already", seed, tk.key)
				}
				for stored := range waiting[tk.key] {
					if stored < tk.id.stored {
						t.Fatalf("seed %d: %d before %d", seed, tk.id.stored, stored)
					}
				}
				busy[tk.key] = tk
				delete(waiting[tk.key], tk.id.stored)
			case 2:
				for key, tk := range busy {
					again := rng.IntN(4) == 0
					q.done(tk, again)
					delete(busy, key)
					if again {
						front := q.take(key) // first, whatever has come meanwhile
						if front != tk {
							t.Fatalf("seed %d: %d took the place of %d", seed, front.id.stored, tk.id.stored)
						}
						busy[key] = tk
					}
					break
				}
			}
			counted := 0
			for key, w := range waiting {
				n := len(w)
				if busy[key] != nil {
					n++
				}
				counted += min(n, maxOfOne)
			}
			if q.counted != counted {
				t.Fatalf("seed %d: %d counted, want %d", seed, q.counted, counted)
			}
			if n := len(busy) + len(waiting["a"]) + len(waiting["b"]) + len(waiting["c"]); len(q.held) != n {
				t.Fatalf("seed %d: %d held, want %d", seed, len(q.held), n)
			}
		}
	}
}

// A consumer whose hands are full waits for its own work: a timer that is
// always due would keep a processor busy meanwhile.
func TestNothingIsDueWhileHandsAreFull(t *testing.T) {
	s := &schedule{queues: newQueues()}
	if s.timer() == nil {
		t.Error("with empty hands, nothing is ever pulled")
	}
	for i := range maxHeld {
		s.queues.add(&task{key: "shop", id: messageID{stored: uint64(i + 1)}})
	}
	if s.timer() != nil {
		t.Error("there is a timer although nothing can be pulled")
	}
	s = &schedule{queues: newQueues()}
	for i := range maxCounted {
		if s.room() != maxCounted-i {
			t.Errorf("room for %d beside %d", s.room(), i)
		}
		s.queues.add(&task{key: fmt.Sprint("app-", i), id: messageID{stored: uint64(i + 1)}})
	}
	if s.timer() != nil {
		t.Error("there is a timer although the hands are full of many")
	}
}

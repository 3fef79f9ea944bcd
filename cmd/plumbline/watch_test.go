// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// watched runs a watch and gives the lines that it prints.
type watched struct {
	t     *testing.T
	lines chan string
}

func watch(t *testing.T, conn *bus.Conn, only string, make func(out, err io.Writer) display) watched {
	reader, writer := io.Pipe()
	w := watching{conn: conn, only: only, every: 10 * time.Millisecond, display: make(writer, writer)}
	ctx, cancel := context.WithCancel(t.Context())
	done := watched{t, nil}
	done.lines = readLines(reader)
	ended := runAside(func() error { return w.run(ctx) })
	t.Cleanup(func() {
		cancel()
		go io.Copy(io.Discard, reader) //nolint:errcheck // it only has to be read
		if err := <-ended; err != nil {
			t.Errorf("an interrupted watch ends with %v", err)
		}
	})
	return done
}

func readLines(r io.Reader) chan string {
	lines := make(chan string, 1000)
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func runAside(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

// until waits for a line with all of the words.
func (w watched) until(words ...string) {
	w.t.Helper()
	deadline := time.After(bustest.Timeout)
	var seen []string
	for {
		select {
		case line := <-w.lines:
			seen = append(seen, line)
			missing := false
			for _, word := range words {
				missing = missing || !strings.Contains(line, word)
			}
			if !missing {
				return
			}
		case <-deadline:
			w.t.Fatalf("no line with %q came, but %q", words, seen)
		}
	}
}

func publish(t *testing.T, p *publisher, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := histories[name](p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchAppendsWhatChanges(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish(t, p, "observed-a", "rendered-x", "completed")
	w := watch(t, server.Connect(t, "reader"), "", func(out, err io.Writer) display { return newLines(out, err) })
	w.until("APPLICATION", "STATE")
	w.until("shop-web", "converged", "aaaa1111aaaa")
	publish(t, p, "diverged")
	w.until("shop-web", "diverged")
	server.Down(t)
	w.until("the bus does not answer", "waiting for it")
	server.Up(t)
	w.until("the bus is back")
	publish(t, p, "resolved", "observed-b")
	w.until("shop-web", "converging", "bbbb2222bbbb")
}

func TestWatchAsJSONIsAnObjectForEachChange(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish(t, p, "observed-a")
	w := watch(t, server.Connect(t, "reader"), "shop-web", func(out, err io.Writer) display {
		return &appender{out: out, err: err, print: func(s status.Status, _ time.Time) error { return printJSON(out, s) }}
	})
	w.until(`{"application":"shop-web"`, `"state":"converging"`)
	publish(t, p, "render-failed")
	w.until(`{"application":"shop-web"`, `"state":"failed"`, `"reason":"syntax"`)
}

func TestWatchOfWhatIsNotKnown(t *testing.T) {
	server := bustest.Start(t)
	publish(t, newPublisher(t, server), "observed-a")
	w := watching{conn: server.Connect(t, "reader"), only: "shop-wep", every: time.Millisecond, display: newLines(io.Discard, io.Discard)}
	if err := w.run(t.Context()); err == nil || !strings.Contains(err.Error(), "there are: shop-web") {
		t.Errorf("run = %v", err)
	}
}

// A log that was lost, and has begun anew, is watched from its beginning.
func TestWatchOfALogThatBeganAnew(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish(t, p, "observed-a", "rendered-x", "completed", "diverged", "resolved")
	w := watch(t, server.Connect(t, "reader"), "", func(out, err io.Writer) display { return newLines(out, err) })
	w.until("shop-web", "converged")
	store := server.Store()
	server.Down(t)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	server.Up(t)
	publish(t, p, "observed-b")
	w.until("shop-web", "converging", "bbbb2222bbbb")
}

// counting counts how often it is shown.
type counting struct {
	*appender
	shows int
	begun time.Time
	last  time.Time
}

func (c *counting) show(how standing, now time.Time) error {
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	c.shows, c.last = c.shows+1, time.Now()
	return c.appender.show(how, now)
}

// However fast events come, they are shown at a bounded rate, and the last of
// them is shown.
func TestWatchOfAStorm(t *testing.T) {
	const every = 100 * time.Millisecond
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish(t, p, "observed-a", "rendered-x", "completed")
	reader, writer := io.Pipe()
	c := &counting{appender: newLines(writer, writer)}
	w := watching{conn: server.Connect(t, "reader"), every: every, display: c}
	ctx, cancel := context.WithCancel(t.Context())
	ended := runAside(func() error { return w.run(ctx) })
	seen := watched{t, readLines(reader)}
	seen.until("converged")
	for range 300 {
		publish(t, p, "diverged", "resolved")
	}
	publish(t, p, "observed-b", "render-failed")
	seen.until("failed", "bbbb2222bbbb")
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if most := int(c.last.Sub(c.begun)/every) + 2; c.shows > most {
		t.Errorf("600 events were shown %d times, want at most %d", c.shows, most)
	}
}

func someStatuses(n int) []status.Status {
	var all []status.Status
	for i := range n {
		state := status.Converged
		if i == n-1 {
			state = status.Failed
		}
		all = append(all, status.Status{
			Application: fmt.Sprintf("shop-%s-%03d", strings.Repeat("payments-", 4), i), Cluster: "europe-west-production", State: state,
			Commit: commitA, Since: sceneClock.Add(-time.Minute), Message: strings.Repeat("long ", 40),
		})
	}
	return urgent(all)
}

// What is drawn never takes more than the terminal has, at any size.
func TestScreenFits(t *testing.T) {
	for _, columns := range []int{20, 40, 72, 80, 100, 200} {
		for _, rows := range []int{6, 10, 24, 60} {
			for _, n := range []int{0, 1, 20, 100} {
				s := newScreen(io.Discard, nil)
				s.all = someStatuses(n)
				s.missed = strings.Repeat("the bus does not answer ", 10)
				lines := s.lines(columns, rows, sceneClock)
				if len(lines) > rows {
					t.Fatalf("%d×%d, %d applications: %d lines", columns, rows, n, len(lines))
				}
				for _, line := range lines {
					if got := utf8.RuneCountInString(line); got > max(columns, 59) {
						t.Fatalf("%d×%d, %d applications: %d columns: %s", columns, rows, n, got, line)
					}
				}
			}
		}
	}
}

func TestScreenIsDrawnInPlaceAndGivenBack(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, func() (int, int, error) { return 100, 24, nil })
	now := sceneClock
	draw := func(err error) string {
		if err != nil {
			t.Fatal(err)
		}
		defer out.Reset()
		return out.String()
	}
	if got := draw(s.show(standing{all: someStatuses(3)}, now)); !strings.HasPrefix(got, screenOpen+screenHome+"3 applications: 1 failed, 2 converged") || !strings.HasSuffix(got, screenEnd) {
		t.Errorf("first %q", got)
	}
	if got := draw(s.pass(now)); got != "" {
		t.Errorf("nothing has changed, and it draws %q", got)
	}
	if got := draw(s.pass(now.Add(time.Second))); !strings.Contains(got, "61s") || strings.Contains(got, screenOpen) {
		t.Errorf("a second later %q", got)
	}
	if got := draw(s.away(errors.New("the bus does not answer"), now)); !strings.Contains(got, "12:00:00: the bus does not answer. This is what was known then.") {
		t.Errorf("away %q", got)
	}
	if got := draw(s.away(nil, now)); strings.Contains(got, "answer") {
		t.Errorf("back %q", got)
	}
	s.close()
	if got := out.String(); !strings.HasPrefix(got, screenClose) || !strings.Contains(got, "shop-payments-") {
		t.Errorf("closed %q", got)
	}
}

func TestWhatNeedsAttentionComesFirst(t *testing.T) {
	var all []status.Status
	for _, state := range []status.State{status.Converged, status.Converging, status.Unreachable, status.Diverged, status.Degraded, status.Held, status.Failed} {
		for _, name := range []string{"b", "a"} {
			all = append(all, status.Status{Application: name, State: state})
		}
	}
	var got []string
	for _, s := range urgent(all) {
		got = append(got, s.Application+" "+string(s.State))
	}
	want := "a failed, b failed, a held, b held, a degraded, b degraded, a diverged, b diverged, a unreachable, b unreachable, a converging, b converging, a converged, b converged"
	if strings.Join(got, ", ") != want {
		t.Errorf("urgent = %q", got)
	}
}

func TestMiddle(t *testing.T) {
	for n := 1; n < 40; n++ {
		if got := middle("shop-payments-gateway-production", n); utf8.RuneCountInString(got) > n {
			t.Errorf("middle to %d is %q", n, got)
		}
	}
	if got := middle("shop-payments-gateway-production", 15); got != "shop-pa…duction" {
		t.Errorf("middle = %q", got)
	}
}

// A log that is replaced underneath a connection that stays is told by an
// event of an earlier place, or of another epoch: all is read again.
func TestWatchReadsAllAgainWhereTheLogWasReplaced(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish(t, p, "observed-a", "rendered-x")
	l, err := server.Connect(t, "reader").Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		record bus.Record
		again  bool
	}{
		"an earlier place": {bus.Record{Stored: 2, Event: p.observed}, true},
		"another epoch":    {bus.Record{Stored: 3, Event: events.Event{Epoch: "another", Type: p.observed.Type, Data: p.observed.Data}}, true},
		"the next event":   {bus.Record{Stored: 3, Event: p.observed}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := watching{conn: server.Connect(t, "reader"), view: &status.View{}, log: l, last: l.Last}
			changed := w.take(t.Context(), c.record)
			if changed == c.again || (w.news != nil) != c.again {
				t.Fatalf("take = %t, read again %t", changed, w.news != nil)
			}
			if !c.again {
				return
			}
			defer w.stop()
			select {
			case n := <-w.news:
				if n.view == nil || len(n.view.All()) != 1 || n.log != l {
					t.Errorf("it has read %+v", n)
				}
			case <-time.After(bustest.Timeout):
				t.Error("nothing was read")
			}
		})
	}
}

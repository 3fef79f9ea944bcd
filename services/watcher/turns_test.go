// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestChangedPathsHaveTheFirstTurns(t *testing.T) {
	for name, test := range map[string]struct {
		list []due
		want [][]due
	}{
		"nothing":         {nil, nil},
		"none changed":    {[]due{{"c", false, 0}, {"a", false, 0}, {"b", false, 0}}, [][]due{{{"a", false, 0}, {"b", false, 0}}, {{"c", false, 0}}}},
		"all changed":     {[]due{{"b", true, 0}, {"a", true, 0}}, [][]due{{{"a", true, 0}, {"b", true, 0}}}},
		"never mixed":     {[]due{{"c", false, 0}, {"b", true, 0}, {"a", false, 0}}, [][]due{{{"b", true, 0}}, {{"a", false, 0}, {"c", false, 0}}}},
		"the longest ago": {[]due{{"a", false, 7}, {"b", false, 0}, {"c", false, 5}}, [][]due{{{"b", false, 0}, {"c", false, 5}}, {{"a", false, 7}}}},
		"both in parts": {
			[]due{{"a", false, 0}, {"b", true, 0}, {"c", false, 0}, {"d", true, 0}, {"e", true, 0}, {"f", false, 0}},
			[][]due{{{"b", true, 0}, {"d", true, 0}}, {{"e", true, 0}}, {{"a", false, 0}, {"c", false, 0}}, {{"f", false, 0}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := inTurns(test.list, 2, func(d due) due { return d }); !reflect.DeepEqual(got, test.want) {
				t.Errorf("turns %v, want %v", got, test.want)
			}
		})
	}
}

// sequence is a look that publishes, in a time of its own. The renderer says
// something of a revision when it is told to.
type sequence struct {
	*pass
	mu     sync.Mutex
	acts   []string      // the applications of each part
	takes  time.Duration // the first part
	stored uint64
}

func newSequence() *sequence {
	return &sequence{pass: &pass{reader: &reader{
		hub:  &hub{outcomes: outcomes{bySaid: map[string]rendering{}}},
		wake: make(chan string, 1), last: map[string]remembered{},
	}}}
}

func (s *sequence) found(name string, changed bool) finding {
	f := finding{changed: changed}
	f.declaration.Cluster, f.declaration.Application = "local", name
	f.verdict.previous = "a"
	return f
}

// begin publishes; ended is closed when all is.
func (s *sequence) begin(t *testing.T, found ...finding) (ended chan struct{}) {
	ended, found = make(chan struct{}), slices.Clone(found) // it is put in order
	go func() {
		defer close(ended)
		again, err := s.publish(t.Context(), found, func(_ context.Context, part []finding) (bool, error) {
			time.Sleep(s.takes)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.takes = 0
			var names []string
			for _, f := range part {
				s.stored++
				s.last[f.subject()] = remembered{published: &published{epoch: "e", stored: s.stored}}
				names = append(names, f.declaration.Application)
			}
			s.acts = append(s.acts, fmt.Sprintf("%s … %s", names[0], names[len(names)-1]))
			return false, nil
		})
		if again || err != nil && t.Context().Err() == nil {
			t.Errorf("again %t, %v", again, err)
		}
	}()
	return ended
}

// said has the renderer say what the application came to.
func (s *sequence) said(f finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.outcomes.take(events.Event{Address: f.address(), Epoch: "e", Sequence: s.last[f.subject()].stored, Data: &events.ManifestsUnchanged{}})
}

func (s *sequence) parts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acts)
}

func (s *sequence) crowd(n int) []finding {
	var all []finding
	for i := range n {
		all = append(all, s.found(fmt.Sprintf("n%03d", i), false))
	}
	return all
}

// What changed has a head start; of the others no more are told than the renderer
// has answered for, or, where it says nothing, than are due.
func TestTheOthersFollowAtTheRenderersPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSequence()
		crowd, web := s.crowd(3*atOnce), s.found("web", true)
		begun := time.Now()
		ended := s.begin(t, append(crowd, web)...)
		synctest.Wait()
		for _, step := range []struct {
			say   []finding
			sleep time.Duration
			want  int // parts
		}{
			{[]finding{web}, headStart - 1, 1}, // rendered isn't in the cluster yet
			{nil, 1, 2},
			{crowd[:atOnce-1], 0, 2},
			{crowd[atOnce-1 : atOnce], 0, 3},
			{crowd[atOnce+1 : 2*atOnce], headStart - 1, 3},
			{nil, 1, 4},
		} {
			for _, f := range step.say {
				s.said(f)
			}
			time.Sleep(step.sleep)
			synctest.Wait()
			if n := s.parts(); n != step.want {
				t.Fatalf("%s after the begin there are %d parts, want %d", time.Since(begun), n, step.want)
			}
		}
		<-ended
		if want := []string{"web … web", "n000 … n063", "n064 … n127", "n128 … n191"}; !slices.Equal(s.acts, want) {
			t.Errorf("got %q, want %q", s.acts, want)
		}
	})
}

// What changed goes all at once.
func TestWhatChangedWaitsForNoPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSequence()
		all := s.crowd(3 * atOnce)
		for i := range all {
			all[i].changed = true
		}
		begun := time.Now()
		<-s.begin(t, all...)
		if len(s.acts) != 3 || time.Since(begun) != 0 {
			t.Errorf("%d parts, after %s", len(s.acts), time.Since(begun))
		}
	})
}

// A look that is due ends the wait, and finds what this one leaves out. Of what
// changes nothing each look tells some, those first that were told longest ago.
func TestTheOthersAreLeftToTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSequence()
		crowd, web := s.crowd(3*atOnce), s.found("web", true)
		ended := s.begin(t, append(crowd, web)...)
		synctest.Wait()
		begun := time.Now()
		s.look(byWebhook)
		<-ended
		for range 3 { // it is still due
			for i := range crowd {
				crowd[i].last = s.last[crowd[i].subject()]
			}
			<-s.begin(t, append(crowd, web)...)
		}
		if got := <-s.wake; got != byWebhook || !time.Now().Equal(begun) {
			t.Errorf("after %s %q is due", time.Since(begun), got)
		}
		want := []string{"web … web", "n000 … n063", "web … web", "n064 … n127", "web … web", "n128 … n191", "web … web", "n000 … n063"}
		if !slices.Equal(s.acts, want) {
			t.Errorf("got  %q\nwant %q", s.acts, want)
		}
	})
}

// Of what changed the rest is left to a look that is due once it has taken long:
// of that may be what somebody waits for.
func TestALongLookLeavesWhatChangedToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for took, want := range map[time.Duration]int{longLook: 3, longLook + 1: 1} {
			s := newSequence()
			s.takes = took
			all := s.crowd(3 * atOnce)
			for i := range all {
				all[i].changed = true
			}
			s.look(byWebhook)
			if <-s.begin(t, all...); s.parts() != want {
				t.Errorf("where a part takes %s there are %d, want %d", took, s.parts(), want)
			}
		}
	})
}

// The first span of a trace lasts until all that follow the commit are told of it:
// the part of it that is no work is a span of its own.
func TestTheHeadStartIsASpan(t *testing.T) {
	sent := tracetest.NewSpanRecorder()
	_, commit := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(sent)).Tracer("").Start(t.Context(), "commit")
	s := newSequence()
	s.open = map[string]begun{"of a commit": {span: commit}}
	<-s.begin(t, s.found("web", true), s.found("api", false))
	s.endTraces()
	spans := sent.Ended()
	if len(spans) != 2 || spans[0].Name() != "head start" || spans[0].Parent().SpanID() != commit.SpanContext().SpanID() {
		t.Fatalf("ended: %v", spans)
	}
	if took := spans[0].EndTime().Sub(spans[0].StartTime()); took < headStart || spans[0].EndTime().After(spans[1].EndTime()) {
		t.Errorf("the head start took %s, until %s; the commit until %s", took, spans[0].EndTime(), spans[1].EndTime())
	}
}

// What another watcher was first with is left to the look that is due, too: each
// pass of this one would tell no more than a part, and there are few of them.
func TestAConflictIsLeftToTheNextLook(t *testing.T) {
	for name, c := range map[string]struct {
		due   bool
		parts int
	}{"none is due": {false, 2}, "one is due": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			s := newSequence()
			if c.due {
				s.look(byPoll)
			}
			parts := 0
			again, err := s.publish(t.Context(), s.crowd(2*atOnce), func(context.Context, []finding) (bool, error) {
				parts++
				return true, nil
			})
			if again == c.due || err != nil || parts != c.parts {
				t.Errorf("again %t after %d parts of %d, %v", again, parts, c.parts, err)
			}
		})
	}
}

// What is told of nothing, as its tip was rejected, takes no turn from the others
// however long ago it was told of something.
func TestWhatIsRejectedComesLast(t *testing.T) {
	s := newSequence()
	first, second := s.found("a", false), s.found("b", false)
	first.last.published, second.last.published = &published{stored: 1}, &published{stored: 2}
	first.rejected = true
	if got := inTurns([]finding{first, second}, 1, finding.due)[0][0].declaration.Application; got != "b" {
		t.Errorf("%s comes first", got)
	}
	first.past = &past{Declaration: &first.declaration}
	first.revive() // what is said in place of its tip
	if d := first.due(); d.told != 1 {
		t.Errorf("what is said again of it comes after what is told at %d, want 1", d.told)
	}
}

// An application that is declared anew is changed, whatever a commit that is seen
// with that changes.
func TestAChangedDeclarationHasAHeadStart(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "api", "web")
	l.declareShop("api", "web")
	stop := l.watch()
	l.observed("api", a)
	l.observed("web", a)
	stop()

	b := l.do(l.shop.Put(map[string]string{"README": "b"}))
	web := strings.Replace(application("web", "shop", ""), "namespace: shop", "namespace: other", 1)
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("api", "shop", "") + web}))
	l.watch()
	changed, data := l.observed("web", b)
	other, _ := l.observed("api", b)
	if data.Declaration.Namespace != "other" {
		t.Fatalf("declared: %+v", data.Declaration)
	}
	if ahead := other.Time.Sub(changed.Time); changed.Stored > other.Stored || ahead < headStart/2 {
		t.Errorf("the application that is declared anew was %s ahead, want about %s", ahead, headStart)
	}
}

// A revision that is said again because its source is not there any more, as under
// a new key, changes nothing: what changes in the same look is ahead of it.
func TestARevisionSaidAgainHasNoHeadStart(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "api", "web")
	l.do(l.shop.Git("push", "--quiet", "origin", "HEAD:refs/heads/stable"))
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		application("api", "shop", "branch: stable") + application("web", "shop", "")}))
	stop := l.watch()
	before, _ := l.observed("api", a)
	l.observed("web", a)
	stop()

	b := l.put("b", "web")
	l.must(os.Remove(l.config.SourceKey))
	_, err := seal.EnsureSourceKey(l.config.SourceKey)
	l.must(err)
	l.watch()
	changed, _ := l.observed("web", b)
	var again *events.Event
	bustest.Eventually(t, "api said again", func() bool {
		again = l.last(&events.CommitObserved{}, local("api"))
		return again.Stored != before.Stored
	})
	if cause := again.Data.(*events.CommitObserved).Revision.Cause; cause != causeLog {
		t.Errorf("said again because of %s, want %s", cause, causeLog)
	}
	if ahead := again.Time.Sub(changed.Time); changed.Stored > again.Stored || ahead < headStart/2 {
		t.Errorf("the application that the commit changes was %s ahead, want about %s", ahead, headStart)
	}
}

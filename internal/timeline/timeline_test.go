// SPDX-License-Identifier: Apache-2.0

package timeline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

var update = flag.Bool("update", false, "write the goldens")

// kept is how many events of a subject the log of these tests keeps.
const kept = 4

var begin = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// parse reads the events of an archive, one a line:
//
//	STORED SEQUENCE SERVICE TYPE[/KEY] START..END[ID][<CAUSE] DATA
//
// START and END are milliseconds, ID and CAUSE the id and the causation id,
// DATA is JSON. The application is web on the cluster local.
func parse(tb testing.TB, text string) []events.Event {
	tb.Helper()
	var all []events.Event
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 6)
		if len(fields) < 6 || strings.HasPrefix(line, "#") {
			continue
		}
		name, key, _ := strings.Cut(fields[3], "/")
		kind := events.TypeNamed(name)
		if kind == nil {
			tb.Fatalf("no type %q", name)
		}
		data := kind.New()
		if err := json.Unmarshal([]byte(fields[5]), data); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		times, cause, _ := strings.Cut(fields[4], "<")
		from, to, _ := strings.Cut(times, "..")
		all = append(all, events.Event{
			ID: name + "-" + fields[0], Source: "plumbline://" + fields[2], Type: kind,
			Address: events.Address{Cluster: "local", Application: "web", Key: key},
			Time:    moment(tb, from), StageStart: moment(tb, from), StageEnd: moment(tb, to),
			Epoch: "e", Sequence: number(tb, fields[1]), Stored: number(tb, fields[0]),
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", CausationID: cause, Data: data,
		})
	}
	return all
}

func number(tb testing.TB, text string) uint64 {
	tb.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func moment(tb testing.TB, text string) time.Time {
	tb.Helper()
	return begin.Add(time.Duration(number(tb, text)) * time.Millisecond)
}

// render writes a history for people who review a golden.
func render(h timeline.History) string {
	var b strings.Builder
	fmt.Fprintf(&b, "begins %s, whole %t\n", clock(h.Begins), h.Whole)
	for _, r := range h.Revisions {
		fmt.Fprintf(&b, "\n%d %s %q: %s", r.Sequence, r.Commit, r.Title, r.Outcome)
		if r.Reason != "" {
			fmt.Fprintf(&b, " (%s)", r.Reason)
		}
		if r.Message != "" {
			fmt.Fprintf(&b, ": %s", r.Message)
		}
		if r.Took != nil {
			fmt.Fprintf(&b, ", took %s", r.Took)
		}
		if r.By != "" {
			fmt.Fprintf(&b, ", by %s", r.By)
		}
		if r.Partial {
			b.WriteString(", partial")
		}
		b.WriteString("\n")
		for _, s := range r.Stages {
			b.WriteString("  " + stage(s) + "\n")
		}
		for _, s := range r.Later {
			b.WriteString("  later " + stage(s) + "\n")
		}
		for _, d := range r.Divergences {
			fmt.Fprintf(&b, "  %s %s %s %s-%s %s\n", d.Kind, d.Object, d.Writer, clock(d.Since), clock(d.Resolved), d.How)
			for _, s := range d.Heals {
				b.WriteString("    " + stage(s) + "\n")
			}
		}
	}
	return b.String()
}

func stage(s timeline.Stage) string {
	text := fmt.Sprintf("%s by %s %s-%s", s.Name, s.Service, clock(s.Start), clock(s.End))
	if s.Failed {
		text += " failed"
	}
	if s.Reason != "" {
		text += fmt.Sprintf(" (%s)", s.Reason)
	}
	if s.Message != "" {
		text += ": " + s.Message
	}
	for _, f := range s.Failures {
		text += fmt.Sprintf(" [%s %s:%d %s]", f.Object, f.File, f.Line, f.Message)
	}
	if s.Work != (timeline.Work{}) {
		work, _ := json.Marshal(s.Work) // numbers and texts
		text += " " + string(work)
	}
	return text
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "…"
	}
	return strconv.FormatInt(t.Sub(begin).Milliseconds(), 10)
}

func archives(tb testing.TB) map[string]*txtar.Archive {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no archives: %v", err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if len(a.Files) != 2 {
			tb.Fatalf("%s: want the files events and history", file)
		}
		all[file] = a
	}
	return all
}

func TestFold(t *testing.T) {
	for file, a := range archives(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := render(timeline.Fold(parse(t, string(a.Files[0].Data)), kept))
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The order in which events are read, and reading them twice, changes nothing.
func TestFoldDoesNotDependOnTheOrderOfReading(t *testing.T) {
	for file, a := range archives(t) {
		all := parse(t, string(a.Files[0].Data))
		want := render(timeline.Fold(all, kept))
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 1))
			shuffled := append(append([]events.Event{}, all...), all[r.IntN(len(all))])
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if got := render(timeline.Fold(shuffled, kept)); got != want {
				t.Fatalf("%s, seed %d: %s", file, seed, cmp.Diff(want, got))
			}
		}
	}
}

// Whatever part of a log is there, what is told of it holds together.
func TestFoldOfEveryPartOfALog(t *testing.T) {
	for file, a := range archives(t) {
		all := parse(t, string(a.Files[0].Data))
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 2))
			var part []events.Event
			for _, e := range all {
				if r.IntN(3) > 0 {
					part = append(part, e)
				}
			}
			seen := map[uint64]bool{}
			for i, v := range timeline.Fold(part, kept).Revisions {
				if v.Outcome == "" || v.Commit == "" || v.Observed.IsZero() {
					t.Fatalf("%s, seed %d: %+v", file, seed, v)
				}
				if v.Sequence > 0 && seen[v.Sequence] {
					t.Fatalf("%s, seed %d: %d is told twice", file, seed, v.Sequence)
				}
				seen[v.Sequence] = true
				over := v.Outcome != timeline.InProgress && v.Outcome != timeline.Held
				if i > 0 && !over {
					t.Fatalf("%s, seed %d: an old revision is %s", file, seed, v.Outcome)
				}
				if v.Took != nil && (v.Took.Std() < 0 || !over) {
					t.Fatalf("%s, seed %d: %s took %s", file, seed, v.Outcome, v.Took)
				}
				for _, s := range v.Stages {
					if s.Start.IsZero() || !s.End.IsZero() && s.End.Before(s.Start) {
						t.Fatalf("%s, seed %d: %+v ends before it begins", file, seed, s)
					}
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// figure is one cell: what was measured in each run, and the raw limits of the
// same runs. Times are milliseconds.
type figure struct {
	Measure string    `json:"measure"`
	Title   string    `json:"title"`
	N       int       `json:"n"` // applications, or files
	Unit    string    `json:"unit,omitempty"`
	Runs    []float64 `json:"runs,omitempty"`
	Raw     []float64 `json:"raw,omitempty"`
	Median  float64   `json:"median"`
	Limit   *float64  `json:"limit,omitempty"` // what it is to be at most
	Ratio   float64   `json:"ratio,omitempty"` // of the raw limit that is; 0: it is none of it
	Met     *bool     `json:"met,omitempty"`

	row *row
}

// process is what one process tree used in a measure.
type process struct {
	Measure string    `json:"measure"`
	N       int       `json:"n"`
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Runs    []float64 `json:"runs"`
}

// report is what a run of the bench has found.
type report struct {
	Machine   string     `json:"machine"`
	Commit    string     `json:"commit"`
	Began     time.Time  `json:"began"`
	Took      string     `json:"took"`
	Figures   []*figure  `json:"figures"`
	Processes []*process `json:"processes"`
	Failures  []failed   `json:"failures,omitempty"`
	// Named are the requests of a train of commits that no revision need cost.
	Named []string `json:"named,omitempty"`
}

// failed is what could not be measured, and why.
type failed struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

func (r *report) cell(measure string, n int) *figure {
	for _, f := range r.Figures {
		if f.Measure == measure && f.N == n {
			return f
		}
	}
	i := slices.IndexFunc(rows, func(w row) bool { return w.measure == measure })
	if i < 0 {
		panic("bench: no row for " + measure) // a fault of this program
	}
	f := &figure{Measure: measure, Title: rows[i].title, N: n, Unit: rows[i].unit, row: &rows[i]}
	r.Figures = append(r.Figures, f)
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// add adds a time of Plumbline's.
func (r *report) add(measure string, n int, d time.Duration) { r.count(measure, n, milliseconds(d)) }

// count adds a figure in its row's unit.
func (r *report) count(measure string, n int, v float64) {
	f := r.cell(measure, n)
	f.Runs = append(f.Runs, v)
}

// limit adds a time of the raw program: a row of its own where there is one,
// else beside Plumbline's.
func (r *report) limit(measure string, n int, d time.Duration) {
	f := r.cell(measure, n)
	if strings.Contains(measure, "raw with records") {
		f.Runs = append(f.Runs, milliseconds(d))
		return
	}
	f.Raw = append(f.Raw, milliseconds(d))
}

// used adds the CPU seconds of each process between two looks, and the memory
// that it has at the second.
func (r *report) used(measure string, n int, before, now map[string]spent) {
	for name, d := range since(before, now) {
		r.process(measure, n, name, unitCPU, d.Seconds())
	}
	for name, at := range now {
		r.part(measure, n, name, float64(at.Resident)/mib)
	}
}

// part adds the memory of one process.
func (r *report) part(measure string, n int, name string, mib float64) {
	r.process(measure, n, name, unitMemory, mib)
}

func (r *report) process(measure string, n int, name, unit string, v float64) {
	for _, p := range r.Processes {
		if p.Measure == measure && p.N == n && p.Name == name && p.Unit == unit {
			p.Runs = append(p.Runs, v)
			return
		}
	}
	r.Processes = append(r.Processes, &process{measure, n, name, unit, []float64{v}})
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// judge holds the figures against their targets and puts them in order.
func (r *report) judge() {
	for _, f := range r.Figures {
		f.Median = median(f.Runs)
		t, ok := f.row.targets[f.N]
		if !ok {
			t, ok = f.row.targets[0]
		}
		if !ok || len(f.Runs) == 0 {
			continue
		}
		limit := t.limit
		if t.ratio > 0 {
			f.Ratio = t.ratio
			limit = t.ratio * median(f.Raw)
		}
		met := f.Median <= limit
		f.Limit, f.Met = &limit, &met
	}
	order := func(f *figure) int {
		return slices.IndexFunc(rows, func(w row) bool { return w.measure == f.Measure })
	}
	slices.SortStableFunc(r.Figures, func(a, b *figure) int { return cmp.Or(order(a)-order(b), a.N-b.N) })
	slices.SortStableFunc(r.Processes, func(a, b *process) int {
		return cmp.Or(strings.Compare(a.Measure, b.Measure), a.N-b.N, strings.Compare(a.Unit, b.Unit), strings.Compare(a.Name, b.Name))
	})
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// machine is what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var kib float64
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscanf(string(info), "MemTotal: %f kB", &kib) // 0 where it says something else
	}
	return fmt.Sprintf("%d cores of %s, %.0f GiB, %s", runtime.NumCPU(), model, kib/(1<<20), runtime.Version())
}

// commit is the commit that is measured, as the work tree has it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/internal/status"
)

// urgency is the order in which people look at states: the worst first.
var urgency = []status.State{
	status.Failed, status.Held, status.Degraded, status.Diverged, status.Unreachable, status.Converging, status.Converged, status.Withdrawn,
}

// urgent orders by what needs attention, and by cluster and name within.
func urgent(all []status.Status) []status.Status {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b status.Status) int {
		return cmp.Or(
			cmp.Compare(slices.Index(urgency, a.State), slices.Index(urgency, b.State)),
			strings.Compare(a.Cluster, b.Cluster),
			strings.Compare(a.Application, b.Application),
		)
	})
	return all
}

// statusTable is a table of applications, a line each, of a width.
type statusTable struct {
	app, cluster, rest int // columns of the names, and of what is left for words
	paint              paint
}

const (
	columnState  = 11 // "unreachable"
	columnCommit = 12
	columnSince  = 4 // "119m"
)

func newStatusTable(all []status.Status, width int, paint paint) statusTable {
	t := statusTable{app: len("APPLICATION"), cluster: len("CLUSTER"), paint: paint}
	for _, s := range all {
		t.app, t.cluster = max(t.app, len([]rune(s.Application))), max(t.cluster, len([]rune(s.Cluster)))
	}
	free := width - columnState - columnCommit - columnSince - 5*2
	t.cluster = min(t.cluster, 14)
	t.app = min(t.app, 28, max(8, free-t.cluster))
	t.rest = max(0, free-t.app-t.cluster)
	return t
}

func (t statusTable) head() string {
	return t.line(faint, "APPLICATION", "CLUSTER", "STATE", "COMMIT", "FOR", "")
}

func (t statusTable) row(s status.Status, now time.Time) string {
	return t.line(colourOf(s.State), s.Application, or(s.Cluster, "-"), string(s.State), or(status.Short(s.Commit), "-"), age(now.Sub(s.Since)), remark(s))
}

func (t statusTable) line(colour, name, on, state, commit, since, text string) string {
	row := pad(middle(printable(name), t.app), t.app) + "  " + pad(middle(printable(on), t.cluster), t.cluster) + "  " +
		t.paint.in(colour, pad(state, columnState)) + "  " + pad(commit, columnCommit) + "  " + pad(since, columnSince)
	if t.rest > 0 && text != "" {
		row += "  " + fit(printable(text), t.rest)
	}
	return strings.TrimRight(row, " ")
}

// tally counts applications by state, the worst first.
func tally(all []status.Status) string {
	counts := map[status.State]int{}
	for _, s := range all {
		counts[s.State]++
	}
	var texts []string
	for _, state := range urgency {
		if n := counts[state]; n > 0 {
			texts = append(texts, strings.TrimSuffix(count(n, string(state)), "s"))
		}
	}
	text := count(len(all), "application")
	if len(texts) > 0 {
		text += ": " + strings.Join(texts, ", ")
	}
	return text
}

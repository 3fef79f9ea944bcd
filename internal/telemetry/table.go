// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what a metric is.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
	Gauge     Kind = "gauge"
)

// Instrument is one metric.
type Instrument struct {
	Name string // as OTLP carries it
	Kind Kind
	Unit string   // UCUM
	By   []string // the attributes that it is split by; each has few values
	From []string // the services that have it
	Says string
}

// Prometheus is the name under which a scrape shows it: dots become
// underscores, the unit is spelled out, a counter ends in _total
// (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
func (i Instrument) Prometheus() string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	if unit := map[string]string{"s": "seconds", "By": "bytes"}[i.Unit]; unit != "" {
		name += "_" + unit
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}

var (
	all      = []string{"watcher", "renderer", "applier", "auditor", "notifier"}
	clusters = []string{"applier", "auditor"}
)

// Table is every metric. An application is in none of them: a fleet of 5,000
// would make 5,000 times as many series of each; which application it was is
// in the events, the traces and the log.
var Table = []Instrument{
	{"plumbline.commit.to_converged", Histogram, "s", []string{"cluster", "outcome"}, []string{"applier"}, "From the observation of a commit until its application converged (outcome converged) or was given up (outcome failed)."},
	{"plumbline.stage.duration", Histogram, "s", []string{"stage", "cluster"}, all, "The work that led to an event, by the event's type."},
	{"plumbline.heals", Counter, "{heal}", []string{"cluster"}, []string{"applier"}, "Divergences that were healed."},
	{"plumbline.divergences", Counter, "{divergence}", []string{"cluster", "transition"}, []string{"auditor"}, "Divergences detected, persisted and resolved."},
	{"plumbline.divergences.open", Gauge, "{divergence}", []string{"cluster"}, []string{"auditor"}, "Divergences that are open now; 0 is converged."},
	{"plumbline.bus.consumed", Counter, "{event}", []string{"consumer", "type", "outcome"}, all, "Inputs, by what became of them."},
	{"plumbline.bus.duration", Histogram, "s", []string{"consumer", "type", "outcome"}, all, "From the handler's call to the acknowledgement."},
	{"plumbline.bus.held", Gauge, "{event}", []string{"consumer"}, all, "Inputs in hand: waiting in a queue, or in work."},
	{"plumbline.bus.pending", Gauge, "{event}", []string{"consumer"}, all, "Inputs that wait on the server, not yet delivered."},
	{"plumbline.bus.published", Counter, "{event}", []string{"type", "duplicate"}, all, "Events published; those that the log had already are duplicates."},
	{"plumbline.bus.sent", Counter, "By", []string{"kind"}, all, "Bytes sent to the bus, as events and as blobs."},
	{"plumbline.bus.redeliveries", Counter, "{event}", []string{"consumer"}, all, "Inputs that came again."},
	{"plumbline.bus.quarantined", Counter, "{event}", []string{"consumer"}, all, "Inputs that were counted out."},
	{"plumbline.bus.outages", Counter, "{outage}", []string{"consumer", "dependency"}, all, "Outages of a dependency."},
	{"plumbline.bus.log.size", Gauge, "By", nil, []string{"watcher"}, "What the log of events takes of the store."},
	{"plumbline.bus.log.events", Gauge, "{event}", nil, []string{"watcher"}, "Events that the log keeps."},
	{"plumbline.git.fetch.duration", Histogram, "s", []string{"outcome"}, []string{"watcher"}, "Fetches from Git, without the listing before."},
	{"plumbline.git.fetch.size", Counter, "By", nil, []string{"watcher"}, "Bytes of the packs that came from Git."},
	{"plumbline.render.cache", Counter, "{lookup}", []string{"result"}, []string{"renderer"}, "Look-ups in the render cache: hit, or miss and rendered."},
	{"plumbline.notifier.sent", Counter, "{message}", []string{"kind"}, []string{"notifier"}, "Calls that Slack took: thread, reply, update, digest."},
	{"plumbline.notifier.delayed", Counter, "{message}", []string{"cause"}, []string{"notifier"}, "Messages that had to wait: for the rate, for Slack's Retry-After, for Slack to be back, for an answer that it gives to others."},
	{"plumbline.notifier.failed", Counter, "{alert}", []string{"reason"}, []string{"notifier"}, "Alerts that Slack refused for good."},
	{"plumbline.kubernetes.requests", Counter, "{request}", []string{"verb", "outcome"}, clusters, "Requests to the API server, by verb (get, watch, patch, …; a list is a get) and class of the answer (2xx, 4xx, none, …)."},
}

// seconds are the bounds of the histograms.
var seconds = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}

func instrument(name string, kind Kind) Instrument {
	i := slices.IndexFunc(Table, func(i Instrument) bool { return i.Name == name })
	if i < 0 || Table[i].Kind != kind {
		panic(fmt.Sprintf("telemetry: the table has no %s %s", kind, name))
	}
	return Table[i]
}

// Markdown is the table as docs/telemetry.md has it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| metric | as a scrape shows it | kind | split by | from | says |\n|---|---|---|---|---|---|\n")
	for _, i := range Table {
		from := strings.Join(i.From, ", ")
		if len(i.From) == len(all) {
			from = "every service"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s | %s |\n", i.Name, i.Prometheus(), i.Kind, strings.Join(i.By, ", "), from, i.Says)
	}
	return b.String()
}

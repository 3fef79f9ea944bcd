// SPDX-License-Identifier: Apache-2.0

package main

// Units of figures.
const (
	unitTime   = "ms"
	unitCount  = ""
	unitCPU    = "s CPU"
	unitMemory = "MiB"
	unitBytes  = "bytes"
)

// target is what a figure is to reach: at most limit, or at most ratio times
// the raw limit of the same run.
type target struct {
	limit, ratio float64
}

// row is one line of the report.
type row struct {
	measure string // the key that figures are added under
	title   string
	unit    string
	// flux and argo are the peers' figures on this kind of machine, by number
	// of applications; 0: they are the same at every number.
	flux, argo map[int]string
	targets    map[int]target // by number of applications; 0: at every number
	more       bool           // stands beside a target and has none of its own
}

func at(n int, text string) map[int]string { return map[int]string{n: text} }

// rows are the lines of the report, in its order. The peers are Flux's source-
// and kustomize-controller 1.9 and Argo CD 3.5.1, measured with the same
// applications, the same observer and a webhook's equivalent.
var rows = []row{
	{
		measure: "first convergence", title: "first convergence, the last object of all", unit: unitTime,
		flux: map[int]string{100: "11.4 s", 300: "46 s"}, argo: at(100, "33.1 s"),
		targets: map[int]target{100: {ratio: 2.5}, 300: {ratio: 2.5}},
	},
	{measure: "first convergence, raw with records", title: "– the raw program with a record of each application, made before and written after", unit: unitTime, more: true},
	{measure: "first convergence, requests", title: "– API requests", flux: map[int]string{100: "3433", 300: "10029"}, argo: at(100, "5006"), more: true},
	{
		measure: "all, p50", title: "a commit changing one object in each, p50", unit: unitTime,
		flux: map[int]string{100: "5.65 s", 300: "20.7 s"}, argo: at(100, "18.4 s"), targets: map[int]target{100: {limit: 500}},
	},
	{
		measure: "all, last", title: "– last", unit: unitTime,
		flux: map[int]string{100: "10.4 s", 300: "40 s"}, argo: at(100, "30.4 s"), targets: map[int]target{100: {limit: 1000}},
	},
	{measure: "all, raw with records, p50", title: "– the raw program with a record written before and after, p50", unit: unitTime, more: true},
	{measure: "all, raw with records, last", title: "– – last", unit: unitTime, more: true},
	{measure: "all, requests", title: "– API requests", flux: at(100, "1915"), argo: at(100, "2422"), more: true},
	{
		measure: "one", title: "a commit changing one object of one application, p50", unit: unitTime,
		flux: map[int]string{100: "about 5 s", 300: "about 35 s"}, argo: at(100, "3.6 s"), targets: map[int]target{100: {limit: 100}, 300: {limit: 100}, 1000: {limit: 150}},
	},
	{
		measure: "one, requests", title: "– API requests, the changed object's among them",
		flux: map[int]string{100: "1715", 300: "5129"}, argo: at(100, "229"), targets: map[int]target{0: {limit: 4}},
	},
	{measure: "poll", title: "– the same without a webhook, polled every 5 s", unit: unitTime, more: true},
	{
		measure: "nothing, requests", title: "a commit that changes nothing any application reads: API requests",
		flux: at(100, "1806"), argo: at(100, "201"), targets: map[int]target{0: {limit: 0}},
	},
	{
		measure: "nothing, CPU", title: "– CPU of all services and the bus", unit: unitCPU,
		flux: at(100, "11.0"), argo: at(100, "2.0"), targets: map[int]target{100: {limit: 0.2}},
	},
	{measure: "edit, said", title: "one hand edit → divergence event, p50", unit: unitTime, targets: map[int]target{0: {limit: 50}}},
	{
		measure: "edit, healed", title: "– → healed, p50", unit: unitTime,
		flux: at(100, "30.2 s at an interval of 1 m"), argo: at(100, "0.40 s"), targets: map[int]target{0: {limit: 150}},
	},
	{
		measure: "burst, p50", title: "a hand edit of each at once → healed, p50", unit: unitTime,
		flux: at(100, "30.2 s"), argo: at(100, "17.7 s"), targets: map[int]target{100: {limit: 1000}},
	},
	{
		measure: "burst, last", title: "– last", unit: unitTime,
		flux: at(100, "60.0 s"), argo: at(100, "29.4 s"), targets: map[int]target{100: {limit: 2000}},
	},
	{measure: "burst, requests", title: "– API requests", argo: at(100, "2304"), more: true},
	{measure: "train", title: "50 commits in 10 s on 20 applications: the tip everywhere, after the last push", unit: unitTime, targets: map[int]target{0: {limit: 1000}}},
	{measure: "train, applied", title: "– revisions applied, of 1,000", more: true},
	{measure: "train, superseded", title: "– revisions superseded before they were begun", more: true},
	{measure: "train, requests", title: "– API requests", more: true},
	{measure: "train, changes", title: "– – writes of the object", more: true},
	{measure: "train, records", title: "– – writes of inventories", more: true},
	{measure: "train, others", title: "– – others: the fence read again, a look of the auditor's, a watch begun anew", more: true},
	{measure: "train, requests of superseded revisions", title: "– API requests of superseded revisions", targets: map[int]target{0: {limit: 0}}},
	{
		measure: "kill, seen", title: "kill -9 of the applier at 30 of 100: restart → all in the cluster", unit: unitTime,
		flux: at(100, "10.7 s"), argo: at(100, "19.9 s"), targets: map[int]target{0: {limit: 2000}},
	},
	{measure: "kill, applied", title: "– in the cluster when it was killed", more: true},
	{measure: "kill, said", title: "– restart → all said to be converged", unit: unitTime, targets: map[int]target{0: {limit: 2000}}},
	{
		measure: "memory up, peak", title: "memory of plumbline up, the whole tree, peak", unit: unitMemory,
		flux: map[int]string{100: "316", 300: "343"}, argo: at(100, "1,690"), more: true,
	},
	{
		measure: "memory up, idle", title: "– when idle", unit: unitMemory,
		flux: map[int]string{100: "271", 300: "296"}, argo: at(100, "494"),
		targets: map[int]target{100: {limit: 180}, 300: {limit: 230}, 1000: {limit: 400}},
	},
	{measure: "memory services, peak", title: "– six processes instead, peak", unit: unitMemory, more: true},
	{measure: "memory services, idle", title: "– – when idle", unit: unitMemory, more: true},
	{measure: "memory up, idle CPU per minute", title: "– CPU of a minute in which nothing happens, plumbline up", unit: unitCPU, more: true},
	{measure: "memory services, idle CPU per minute", title: "– – six processes", unit: unitCPU, more: true},
	{measure: "up first convergence", title: "– first convergence, plumbline up", unit: unitTime, more: true},
	{measure: "files, fetch", title: "one new commit in a repository of 20,000 files: fetch", unit: unitTime, flux: at(0, "checkout 0.6 s (git), 3.6 s (go-git)"), targets: map[int]target{0: {limit: 30}}},
	{measure: "files, event", title: "– push → event", unit: unitTime, more: true},
	{measure: "files, bytes", title: "– bytes that the bus keeps of it", unit: unitBytes, more: true},
	{measure: "files, first event", title: "first sight of a repository of 20,000 files: → first event", unit: unitTime, targets: map[int]target{0: {limit: 2000}}},
	{measure: "files, watcher peak", title: "– memory of the watcher, peak", unit: unitMemory, targets: map[int]target{0: {limit: 200}}},
	{measure: "files, renderer peak", title: "– memory of the renderer with its children, peak", unit: unitMemory, more: true},
	{measure: "files, first converged", title: "– → converged", unit: unitTime, more: true},
	{measure: "files, first bytes", title: "– bytes that the bus keeps of it", unit: unitBytes, more: true},
}

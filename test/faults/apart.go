// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// windows is how often a seed has a fault in one application and takes the time
// of others beside it; before, between and after they are taken beside nothing.
// Whatever else the machine does meanwhile hits either alike.
const windows = 2

// apart writes the rounds in which I7 is measured: applications are changed one
// after the other, by turns beside nothing and beside a fault that is of one
// other application alone. Those that are changed share neither ref nor
// namespace with the victim.
func (s *Script) apart(kinds []Fault, probes int) []Round {
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(f Fault) bool { return !f.Alone })
	victim, others := s.strangers()
	if probes == 0 || len(kinds) == 0 || len(others) == 0 {
		return nil
	}
	next := 0
	probe := func(n int, beside bool) []Step {
		for range n {
			s.probe(others[next%len(others)], beside)
			next++
		}
		return s.take()
	}
	var rounds []Round
	for n := range uint64(windows) {
		rounds = append(rounds, Round{Steps: probe(probes/(windows+1), false)})
		fault := kinds[(windows*s.plan.Seed+n)%uint64(len(kinds))]
		round := Round{Fault: fault.Name, Seed: s.rng.Uint64(), Hold: fault.Hold.draw(s.rng), Victim: &victim}
		s.victim = &victim
		if fault.Shape != nil {
			fault.Shape(s)
		}
		round.Steps = amid(s.take(), probe(probes/windows, true))
		s.mend(victim)
		round.After = s.take()
		s.victim = nil
		rounds = append(rounds, round)
	}
	return append(rounds, Round{Steps: probe(probes-windows*(probes/(windows+1)), false)})
}

// mend puts right what a round broke, all of it: another one is to find its
// victim well.
func (s *Script) mend(victim App) {
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
	r := s.refs[victim.ref()]
	if dir := r.tip.Dirs[victim.Name]; dir.Broken != "" {
		s.commit(r, map[string]*Dir{victim.Name: {Objects: dir.Objects}}, "mend "+victim.Name)
	}
}

// strangers picks an application, and those that have nothing to do with it and
// can be changed.
func (s *Script) strangers() (victim App, others []App) {
	victim, _, ok := s.pick()
	if !ok {
		return victim, nil
	}
	for _, app := range s.fleet {
		r := s.refs[app.ref()]
		if app.ref() != victim.ref() && app.Namespace != victim.Namespace && r.tip != nil && r.tip.Dirs[app.Name].Broken == "" && r.tip.Dirs[app.Name].first("ConfigMap") >= 0 {
			others = append(others, app)
		}
	}
	s.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	return victim, others
}

// first is the place of the first object of a kind; -1: there is none.
func (d *Dir) first(kind string) int {
	return slices.IndexFunc(d.Objects, func(o Object) bool { return o.Kind == kind })
}

// probe changes an application, and waits about as long as that takes.
func (s *Script) probe(app App, beside bool) {
	r := s.refs[app.ref()]
	dir := r.tip.Dirs[app.Name].edit()
	o := &dir.Objects[dir.first("ConfigMap")]
	o.Fields["data.a"] = s.next()
	s.commit(r, map[string]*Dir{app.Name: dir}, fmt.Sprintf("look when %s of %s is there", o.Name, app.Name))
	step := &s.steps[len(s.steps)-1]
	step.Ring, step.Pause = true, 150*time.Millisecond+time.Duration(s.rng.IntN(100))*time.Millisecond
	step.Probe = &Probe{App: app.Name, Key: o.key(app.Namespace), Value: o.Fields["data.a"], Beside: beside}
}

// amid spreads some steps evenly among others, which are as long apart as
// before.
func amid(some, others []Step) []Step {
	var all []Step
	done := 0
	for i, step := range others {
		for ; done < len(some)*(i+1)/len(others); done++ {
			extra := some[done]
			extra.Pause = 0
			all = append(all, extra)
		}
		all = append(all, step)
	}
	return append(all, some[done:]...)
}

// Waits are how long changes took from the push until they were in the cluster.
type Waits struct {
	Calm   []time.Duration `json:"calm"`   // beside nothing
	Beside []time.Duration `json:"beside"` // a fault in another application
}

// WaitsOf reads the waits out of a history. One that was overtaken by the next
// change of its object ends with that. One beside a fault that met nothing was
// beside none, and not in its calm either: it counts for neither.
func WaitsOf(h History) Waits {
	type pending struct {
		Probe
		at time.Time
	}
	missed := map[int]bool{} // rounds
	for _, r := range h {
		if r.Lifted != nil && !r.Lifted.Struck {
			missed[r.Lifted.Round] = true
		}
	}
	var w Waits
	open := map[string][]pending{} // by object, in the order of the pushes
	round := 0
	for _, r := range h {
		switch {
		case r.Begun != nil:
			round = r.Begun.Round
		case r.Ref != nil && r.Ref.Probe != nil && r.Ref.Probe.Beside && missed[round]:
		case r.Ref != nil && r.Ref.Probe != nil:
			open[r.Ref.Probe.Key] = append(open[r.Ref.Probe.Key], pending{*r.Ref.Probe, r.At})
		case r.Object != nil && len(open[r.Object.Key]) > 0:
			list := open[r.Object.Key]
			n := slices.IndexFunc(list, func(p pending) bool { return p.Value == r.Object.Fields["data.a"] })
			for _, p := range list[:n+1] {
				if p.Beside {
					w.Beside = append(w.Beside, r.At.Sub(p.at))
				} else {
					w.Calm = append(w.Calm, r.At.Sub(p.at))
				}
			}
			open[r.Object.Key] = list[n+1:]
		}
	}
	return w
}

// Isolation is what I7 comes to over all seeds.
type Isolation struct {
	Waits
	Enough bool    // samples to speak of a p99
	Ratio  float64 // of the p99 beside a fault to that beside none
	// Least is what Ratio is at least, by 95 of 100 draws of as many seeds from
	// these: what a busy moment of the machine did to one seed, it did to that.
	Least float64
}

// isolated is how many times as long the slowest per cent may take beside a
// fault in another application, and leastWaits how many samples of each there
// must be for the slowest per cent to be some.
const (
	isolated   = 2
	leastWaits = 300
	draws      = 1000
)

// Holds says that I7 holds.
func (i Isolation) Holds() bool { return i.Enough && i.Ratio <= isolated }

// Broken says that it doesn't. Neither is said where there are too few samples,
// or where the ratio is above what may be and chance explains it.
func (i Isolation) Broken() bool { return i.Enough && i.Least > isolated }

// Isolate decides I7.
func Isolate(results []Result) Isolation {
	var i Isolation
	i.Waits = pool(results)
	i.Enough = len(i.Calm) >= leastWaits && len(i.Beside) >= leastWaits
	if !i.Enough {
		return i
	}
	i.Ratio = i.ratio()
	rng := rand.New(rand.NewPCG(1, 7)) //nolint:gosec // equal results, equal verdict
	ratios := make([]float64, draws)
	for n := range ratios {
		drawn := make([]Result, len(results))
		for k := range drawn {
			drawn[k] = results[rng.IntN(len(results))]
		}
		ratios[n] = pool(drawn).ratio()
	}
	slices.Sort(ratios)
	i.Least = ratios[draws*5/100]
	return i
}

func pool(results []Result) (w Waits) {
	for _, r := range results {
		w.Calm = append(w.Calm, r.Waits.Calm...)
		w.Beside = append(w.Beside, r.Waits.Beside...)
	}
	return w
}

func (w Waits) ratio() float64 {
	return float64(percentileOf(w.Beside, 99)) / max(1, float64(percentileOf(w.Calm, 99)))
}

func (i Isolation) String() string {
	line := func(all []time.Duration) string {
		if len(all) == 0 {
			return "nothing"
		}
		return fmt.Sprintf("%d changes, p50 %s, p99 %s", len(all), percentileOf(all, 50).Round(time.Millisecond), percentileOf(all, 99).Round(time.Millisecond))
	}
	verdict := "I7 is not decided: chance explains what is above"
	switch {
	case !i.Enough:
		verdict = fmt.Sprintf("too few to decide I7, which takes %d of each", leastWaits)
	case i.Holds():
		verdict = "I7 holds"
	case i.Broken():
		verdict = "I7 is broken"
	}
	if i.Enough {
		verdict = fmt.Sprintf("%.2f times as long (at least %.2f times, by 95 of 100 draws of as many seeds): %s", i.Ratio, i.Least, verdict)
	}
	return fmt.Sprintf("beside nothing %s; beside a fault in another application %s; %s", line(i.Calm), line(i.Beside), verdict)
}

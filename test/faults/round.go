// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// round writes one round with a fault in its middle.
func (s *Script) round(f Fault, about int) Round {
	r := Round{Fault: f.Name, Seed: s.rng.Uint64(), Hold: f.Hold.draw(s.rng)}
	n := about/2 + s.rng.IntN(about+1)
	if f.Quiet {
		n = 0
	}
	for range n {
		s.any()
	}
	if f.Shape != nil {
		before := len(s.steps)
		f.Shape(s)
		r.Idle = f.Inject == nil && len(s.steps) == before
	}
	r.Steps = s.take()
	r.At = s.rng.IntN(len(r.Steps)/2 + 1)
	s.repair()
	r.After = s.take()
	return r
}

// last has a round's fault last for so long. People work on meanwhile: the steps
// that come in it come all over it, those that came at once still at once.
func (r *Round) last(hold time.Duration) {
	r.Hold = hold
	var sum time.Duration
	for _, step := range r.Steps[r.At:] {
		sum += step.Pause
	}
	if sum == 0 {
		return
	}
	for i := range r.Steps[r.At:] {
		step := &r.Steps[r.At+i]
		step.Pause = time.Duration(float64(hold) * float64(step.Pause) / float64(sum))
	}
}

// repair puts right what was broken on purpose; some of it is left for the
// next rounds to live with.
func (s *Script) repair() {
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
	for _, name := range slices.Sorted(maps.Keys(s.refs)) {
		r := s.refs[name]
		if r.tip == nil && s.rng.IntN(3) > 0 {
			s.Restore(r)
		}
		if r.tip == nil {
			continue
		}
		changed := map[string]*Dir{}
		for _, app := range slices.Sorted(maps.Keys(r.tip.Dirs)) {
			if dir := r.tip.Dirs[app]; dir.Broken != "" && s.rng.IntN(3) > 0 {
				changed[app] = &Dir{Objects: dir.Objects}
			}
		}
		if len(changed) > 0 {
			s.commit(r, changed, fmt.Sprintf("mend %d folders", len(changed)))
		}
	}
}

// any writes one step of everyday work.
func (s *Script) any() {
	app, r, ok := s.pick()
	if !ok {
		s.Restore(s.anyRef(func(r *ref) bool { return r.tip == nil }))
		return
	}
	s.burst = s.rng.IntN(4) == 0
	defer func() { s.burst = false }()
	switch n := s.rng.IntN(100); {
	case n < 30:
		s.Change(app, r)
	case n < 38:
		s.Grow(app, r)
	case n < 46:
		s.Shrink(app, r)
	case n < 52:
		s.Revert(r)
	case n < 60:
		s.Rewind(r)
	case n < 66:
		s.BackAndForth(app, r)
	case n < 70:
		s.Break(app, r, []Breakage{BrokenSyntax, BrokenEmpty, BrokenMissing, BrokenTwice, BrokenKustomize}[s.rng.IntN(5)])
	case n < 73:
		s.Delete(r)
	case n < 79:
		s.Fleet()
	case n < 91:
		s.Edit(app, r)
	case n < 96:
		s.Remove(app, r)
	default:
		s.Move(r)
	}
}

// impossible has a branch stand, for this round alone, at commits that the API
// server refuses a part of: each is the one before with an object changed.
func (s *Script) impossible(app App, r *ref, objects ...Object) {
	var dirs []*Dir
	last := r.tip.Dirs[app.Name]
	for _, o := range objects {
		dir := last.edit()
		dir.Objects = slices.DeleteFunc(dir.Objects, func(was Object) bool { return was.Kind == o.Kind && was.Name == o.Name })
		dir.Objects = append(dir.Objects, o)
		dirs, last = append(dirs, dir), dir
	}
	s.forNow(app, r, "declare "+objects[0].Name, dirs...)
}

// forNow has a branch stand at some commits, for this round alone.
func (s *Script) forNow(app App, r *ref, about string, dirs ...*Dir) {
	before := r.tip
	for _, dir := range dirs {
		s.commit(r, map[string]*Dir{app.Name: dir}, about)
	}
	s.undo = append(s.undo, func() {
		s.point(r, OpRewind, before, "force-push it away again")
		// No later step may lead there: whether it can be applied depends on
		// what is live.
		r.past = slices.DeleteFunc(r.past, func(p *Snapshot) bool { return p.ID > before.ID })
	})
}

// pick picks an application that is declared, whose branch is there and whose
// folder can be rendered.
func (s *Script) pick() (App, *ref, bool) {
	return s.pickOf(func(App) bool { return true })
}

// pickOf picks one of those that match.
func (s *Script) pickOf(match func(App) bool) (App, *ref, bool) {
	for _, i := range s.rng.Perm(len(s.fleet)) {
		app := s.fleet[i]
		if s.victim != nil && app.Name != s.victim.Name {
			continue
		}
		if r := s.refs[app.ref()]; r.tip != nil && r.tip.Dirs[app.Name].Broken == "" && match(app) {
			return app, r, true
		}
	}
	return App{}, nil, false
}

func (s *Script) anyRef(match func(*ref) bool) *ref {
	names := slices.Sorted(maps.Keys(s.refs))
	for _, i := range s.rng.Perm(len(names)) {
		if r := s.refs[names[i]]; match(r) {
			return r
		}
	}
	return s.refs[names[0]]
}

// SPDX-License-Identifier: Apache-2.0

package faults

import "fmt"

// refFaults are what people do to Git, in their thickest form. The steps are
// the fault.
var refFaults = []Fault{
	{
		Row: "F13", Name: "back-and-forth", About: "A, B, A within milliseconds, several times on one branch and on others", Weight: 3,
		Shape: func(s *Script) {
			for range 4 {
				if app, r, ok := s.pick(); ok {
					s.BackAndForth(app, r)
				}
			}
		},
	},
	{
		Row: "F25", Name: "force-push", About: "history rewritten: force-pushes to older commits, to amended ones and back", Weight: 3,
		Shape: func(s *Script) {
			for range 8 {
				if _, r, ok := s.pick(); ok {
					s.Rewind(r)
				}
			}
		},
	},
	{
		Row: "F26", Name: "branch-deleted", About: "branches deleted, up to all of a repository, some coming back at once", Weight: 3,
		Shape: func(s *Script) {
			for range 3 {
				if _, r, ok := s.pick(); ok {
					s.Delete(r)
					if s.rng.IntN(2) == 0 {
						s.Restore(r)
					}
				}
			}
		},
	},
	{
		Row: "F28", Name: "empty-render", About: "folders that are missing, empty or can't be rendered, and mended again", Weight: 3,
		Shape: func(s *Script) {
			for _, how := range []Breakage{BrokenEmpty, BrokenMissing, BrokenKustomize, BrokenSyntax} {
				if app, r, ok := s.pick(); ok {
					s.Break(app, r, how)
				}
			}
		},
	},
	{
		Row: "F28", Name: "broken-commits", About: "commit after commit of one application that can't be rendered, each in another way", Alone: true, Weight: 2,
		Shape: breaks(BrokenSyntax, BrokenTwice, BrokenKustomize, BrokenMissing, BrokenEmpty, BrokenSyntax),
	},
	{
		Row: "F30", Name: "render-bomb", About: "commits of one application that take a renderer's time and memory, if it lets them: aliases that expand without end, and ten thousand objects with a mistake after the last", Alone: true, Weight: 2,
		Shape: breaks(BrokenBomb, BrokenSlow, BrokenBomb, BrokenSlow),
	},
	{
		Row: "F29", Name: "prune-past-guard", About: "most objects of applications removed at once: held until approved, or declared again", Alone: true, Weight: 3,
		Shape: func(s *Script) {
			for range 3 {
				app, r, ok := s.pick()
				if !ok {
					continue
				}
				before := r.tip
				s.Purge(app, r)
				if s.rng.IntN(3) == 0 {
					s.point(r, OpRevert, s.child(r.tip, before.Dirs), "declare them again")
				}
			}
		},
	},
	{
		Row: "F31", Name: "commit-dates", About: "commits dated 1970, 2106 and before their parents, many in a moment (as all commits of all seeds are)", Weight: 2,
		Shape: func(s *Script) {
			s.burst = true
			defer func() { s.burst = false }()
			for range 6 {
				if app, r, ok := s.pick(); ok {
					s.Change(app, r)
				}
			}
		},
	},
	{
		Row: "F18", Name: "other-manager", About: "another tool applies fields of ours by force, time and again", Weight: 2,
		Shape: func(s *Script) {
			for range 4 {
				if app, r, ok := s.pick(); ok {
					s.Take(app, r)
				}
			}
		},
	},
}

// breaks has one application's folder broken again and again.
func breaks(ways ...Breakage) func(*Script) {
	return func(s *Script) {
		app, r, ok := s.pick()
		if !ok {
			return
		}
		good := r.tip.Dirs[app.Name]
		for _, how := range ways {
			dir := good.edit()
			dir.Broken = how
			s.alter(&dir.Objects[s.rng.IntN(len(dir.Objects))])
			s.commit(r, map[string]*Dir{app.Name: dir}, fmt.Sprintf("break %s: %s", app.Name, how))
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
)

// gitView is what Git asks for, folded from ref changes alone: which
// applications are declared, and what each of them may be at.
//
// An application whose newest commit can be rendered is at that. One whose
// newest commit can't, or whose branch is gone, stays at the last one that
// could: at least as new as what it was at when all was last quiet, since what
// was pushed over before anybody looked need never have been seen.
type gitView struct {
	declared map[string]App
	tips     map[string]*Snapshot // by repository/branch; nil: it is gone
	commits  map[string]string    // by repository/branch; "": it is gone
	may      map[string][]*Dir    // by application: what it may be at while its tip is none, the oldest first
}

func newGitView() *gitView {
	return &gitView{declared: map[string]App{}, tips: map[string]*Snapshot{}, commits: map[string]string{}, may: map[string][]*Dir{}}
}

// nothing is what an application is at that was never rendered, or is no
// longer declared.
var nothing = &Dir{}

func (g *gitView) take(r *RefChange) {
	if r.Op == OpFleet {
		g.takeFleet(r.Apps)
		return
	}
	name := r.Repository + "/" + r.Branch
	g.tips[name], g.commits[name] = nil, r.Commit
	if r.Commit != "" {
		g.tips[name] = &Snapshot{Dirs: r.Dirs}
	}
	for _, app := range g.declared {
		if app.ref() == name {
			g.note(app)
		}
	}
}

func (g *gitView) takeFleet(apps []App) {
	now := map[string]App{}
	for _, app := range apps {
		now[app.Name] = app
		if _, was := g.declared[app.Name]; !was {
			g.may[app.Name] = append(g.may[app.Name], nothing)
			g.note(app)
		}
	}
	for name := range g.declared {
		if _, still := now[name]; !still {
			g.may[name] = append(g.may[name], nothing)
		}
	}
	g.declared = now
}

// note adds an application's present commit to what it may be at.
func (g *gitView) note(app App) {
	if dir := g.dir(app); dir != nil {
		g.may[app.Name] = append(g.may[app.Name], dir)
	}
}

// dir is what an application's newest commit declares, nil where it can't be
// rendered or isn't there.
func (g *gitView) dir(app App) *Dir {
	tip := g.tips[app.ref()]
	if tip == nil || tip.Dirs[app.Name] == nil || tip.Dirs[app.Name].Broken != "" {
		return nil
	}
	return tip.Dirs[app.Name]
}

// Problem is how live differs from what Git asks for.
type Problem struct {
	App   string
	Extra bool // something is there that should be gone
	Text  string
}

func (p Problem) String() string { return p.App + ": " + p.Text }

// problems compares what is live with what Git asks for.
func (g *gitView) problems(live []State) []Problem {
	byApp := map[string]map[string]State{}
	for _, s := range live {
		if s.App == "" {
			continue
		}
		if byApp[s.App] == nil {
			byApp[s.App] = map[string]State{}
		}
		byApp[s.App][s.Key] = s
	}
	var all []Problem
	for _, name := range slices.Sorted(maps.Keys(byApp)) {
		if _, ok := g.declared[name]; !ok {
			all = append(all, Problem{name, true, fmt.Sprintf("%d objects are there, and it is no longer declared", len(byApp[name]))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.declared)) {
		app := g.declared[name]
		if p, ok := g.closest(app, byApp[name]); !ok {
			all = append(all, p)
		}
	}
	return all
}

// closest says whether an application is at what it may be at, and if not, how
// it differs from the newest of that.
func (g *gitView) closest(app App, live map[string]State) (Problem, bool) {
	if dir := g.dir(app); dir != nil {
		return dir.differs(app, live)
	}
	p := Problem{App: app.Name}
	for _, dir := range slices.Backward(g.may[app.Name]) {
		q, ok := dir.differs(app, live)
		if ok {
			return Problem{}, true
		}
		if p.Text == "" {
			p = q
		}
	}
	return p, false
}

// differs compares what a folder declares with an application's live objects.
func (d *Dir) differs(app App, live map[string]State) (Problem, bool) {
	declared := map[string]bool{}
	for _, o := range d.Objects {
		key := o.key(app.Namespace)
		declared[key] = true
		s, ok := live[key]
		if !ok {
			return Problem{App: app.Name, Text: key + " is missing"}, false
		}
		if s.Deleting {
			return Problem{App: app.Name, Text: key + " is being deleted"}, false
		}
		if text := o.differs(s.Fields); text != "" {
			return Problem{App: app.Name, Text: key + ": " + text}, false
		}
	}
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if !declared[key] {
			return Problem{App: app.Name, Extra: true, Text: key + " is there, and Git doesn't declare it"}, false
		}
	}
	return Problem{}, true
}

// quiet forgets what is older than what each application is at now.
func (g *gitView) quiet(live []State) {
	byApp := map[string]map[string]State{}
	for _, s := range live {
		if byApp[s.App] == nil {
			byApp[s.App] = map[string]State{}
		}
		byApp[s.App][s.Key] = s
	}
	for name, may := range g.may {
		app, ok := g.declared[name]
		if !ok {
			g.may[name] = []*Dir{nothing}
			continue
		}
		for i, dir := range slices.Backward(may) {
			if _, same := dir.differs(app, byApp[name]); same {
				g.may[name] = slices.Clone(may[i:])
				break
			}
		}
	}
}

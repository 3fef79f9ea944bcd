// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"slices"
	"strings"
)

// edit returns a copy of a folder to change.
func (d *Dir) edit() *Dir {
	next := &Dir{Objects: make([]Object, len(d.Objects))}
	for i, o := range d.Objects {
		next.Objects[i] = o.copy()
	}
	return next
}

// Change gives some objects of an application new values.
func (s *Script) Change(app App, r *ref) {
	dir := r.tip.Dirs[app.Name].edit()
	n := 1 + s.rng.IntN(2)
	for range n {
		s.alter(&dir.Objects[s.rng.IntN(len(dir.Objects))])
	}
	s.commit(r, map[string]*Dir{app.Name: dir}, fmt.Sprintf("change up to %d objects of %s", n, app.Name))
}

// alter gives an object another value.
func (s *Script) alter(o *Object) {
	switch o.Kind {
	case "ConfigMap":
		switch {
		case o.Fields["data.c"] == "" && s.rng.IntN(3) == 0:
			o.Fields["data.c"] = s.next()
		case s.rng.IntN(4) == 0:
			delete(o.Fields, "data.c")
			o.Fields["data.a"] = s.next()
		default:
			o.Fields["data.a"] = s.next()
		}
	case "Secret":
		o.Fields["data.token"] = s.canary()
	case "Service":
		o.Fields["spec.ports.0.port"] = fmt.Sprint(1000 + s.rng.IntN(9000))
	case "Widget":
		o.Fields["spec.size"] = s.next()
	case "Deployment":
		o.Fields["spec.template.spec.containers.0.image"] = "registry.example.com/app:" + s.next()
	}
}

// Grow adds an object to an application.
func (s *Script) Grow(app App, r *ref) {
	dir := r.tip.Dirs[app.Name].edit()
	for i := range 12 {
		o := s.configMap(app, i)
		if !r.tip.declares(o) { // nor may another have taken it
			dir.Objects = append(dir.Objects, o)
			s.commit(r, map[string]*Dir{app.Name: dir}, "add "+o.Name)
			return
		}
	}
	s.Shrink(app, r)
}

// Shrink removes an object from an application.
func (s *Script) Shrink(app App, r *ref) {
	s.drop(app, r, 1)
}

// Purge removes most objects from an application: more than a guard lets go.
func (s *Script) Purge(app App, r *ref) {
	s.drop(app, r, len(r.tip.Dirs[app.Name].Objects)*2/3+1)
}

func (s *Script) drop(app App, r *ref, n int) {
	dir := r.tip.Dirs[app.Name].edit()
	gone := 0
	for gone < n && len(dir.Objects) > 1 {
		i := s.rng.IntN(len(dir.Objects))
		if kinds[dir.Objects[i].Kind].protected {
			break
		}
		dir.Objects = slices.Delete(dir.Objects, i, i+1)
		gone++
	}
	if gone == 0 {
		s.Change(app, r)
		return
	}
	s.commit(r, map[string]*Dir{app.Name: dir}, fmt.Sprintf("remove %d objects of %s", gone, app.Name))
}

// Move moves an object from one application to another of the same branch.
func (s *Script) Move(r *ref) {
	var names []string
	for _, app := range s.fleet {
		if app.ref() == r.repository+"/"+r.branch && r.tip.Dirs[app.Name].Broken == "" {
			names = append(names, app.Name)
		}
	}
	if len(names) < 2 {
		return
	}
	s.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	a, b := s.app(names[0]), s.app(names[1])
	from, to := r.tip.Dirs[a.Name].edit(), r.tip.Dirs[b.Name].edit()
	i := slices.IndexFunc(from.Objects, func(o Object) bool { return o.Kind == "ConfigMap" })
	if i < 0 || len(from.Objects) < 3 || a.Namespace != b.Namespace || to.find("ConfigMap", from.Objects[i].Name) != nil {
		s.Change(a, r)
		return
	}
	to.Objects = append(to.Objects, from.Objects[i])
	from.Objects = slices.Delete(from.Objects, i, i+1)
	s.commit(r, map[string]*Dir{a.Name: from, b.Name: to}, fmt.Sprintf("move an object from %s to %s", a.Name, b.Name))
}

func (s *Script) app(name string) App {
	for _, app := range slices.Concat(s.fleet, s.spare) {
		if app.Name == name {
			return app
		}
	}
	return App{}
}

// Revert makes a commit that undoes the last one.
func (s *Script) Revert(r *ref) {
	if r.tip.Parent == nil {
		s.Rewind(r)
		return
	}
	s.point(r, OpRevert, s.child(r.tip, r.tip.Parent.Dirs), "revert the last commit")
}

// Rewind force-pushes: back to a commit that the branch was at before, or
// forward again to one that was left, or to a sibling of the tip.
func (s *Script) Rewind(r *ref) {
	recent := r.past[max(0, len(r.past)-4):]
	to := recent[s.rng.IntN(len(recent))]
	if to != r.tip {
		s.point(r, OpRewind, to, fmt.Sprintf("force-push to commit %d", to.ID))
		return
	}
	sibling := s.child(r.tip.Parent, r.tip.Dirs)
	s.point(r, OpRewind, sibling, "force-push an amended commit")
}

// BackAndForth is A, B, A as quickly as it can be pushed, and sometimes B
// again.
func (s *Script) BackAndForth(app App, r *ref) {
	was := s.burst
	s.burst = true
	a := r.tip
	s.Change(app, r)
	b := r.tip
	s.point(r, OpRewind, a, "back to A")
	if s.rng.IntN(2) == 0 {
		s.point(r, OpRewind, b, "forward to B again")
	}
	s.burst = was
}

// Break makes a commit that can't be rendered.
func (s *Script) Break(app App, r *ref, how Breakage) {
	dir := r.tip.Dirs[app.Name].edit()
	dir.Broken = how
	s.commit(r, map[string]*Dir{app.Name: dir}, fmt.Sprintf("break %s: %s", app.Name, how))
}

// Delete deletes a branch; Restore brings it back, most often as it was.
func (s *Script) Delete(r *ref) {
	s.point(r, OpDelete, nil, "delete the branch")
}

// Restore brings a deleted branch back.
func (s *Script) Restore(r *ref) {
	if r.tip == nil {
		s.point(r, OpRestore, r.last, "the branch comes back")
	}
}

// Fleet declares an application, or withdraws one.
func (s *Script) Fleet() {
	if len(s.spare) > 0 && (s.rng.IntN(2) == 0 || len(s.spare) > 3) {
		i := s.rng.IntN(len(s.spare))
		app := s.spare[i]
		r := s.refs[app.ref()]
		if r.tip == nil || r.tip.Dirs[app.Name].Broken != "" {
			return
		}
		s.spare = slices.Delete(s.spare, i, i+1)
		s.fleet = append(s.fleet, app)
		s.declare("declare " + app.Name)
		return
	}
	i := s.rng.IntN(len(s.fleet))
	app := s.fleet[i]
	s.fleet = slices.Delete(s.fleet, i, i+1)
	s.spare = append(s.spare, app)
	s.declare("withdraw " + app.Name)
}

// Edit writes or removes a field of ours by hand.
func (s *Script) Edit(app App, r *ref) {
	o, ok := s.anyObject(app, r, "ConfigMap", "Widget", "Deployment", "Secret")
	if !ok {
		return
	}
	h := &Hand{App: app.Name, Kind: o.Kind, Namespace: app.Namespace, Name: o.Name}
	about := "edit "
	switch o.Kind {
	case "ConfigMap":
		h.Field, h.Value = "data.a", handValue+s.next()
		if s.rng.IntN(4) == 0 {
			h.Value, about = "", "remove a field of "
		}
	case "Widget":
		h.Field, h.Value = "spec.size", handValue+s.next()
	case "Secret":
		h.Field, h.Value = "data.token", handValue+s.next()
	case "Deployment":
		h.Field, h.Value = "spec.replicas", fmt.Sprint(1+s.rng.IntN(2))
	}
	s.add(Step{Op: OpEdit, Hand: h, About: about + strings.ToLower(o.Kind) + " " + o.Name})
}

// Remove deletes an object by hand.
func (s *Script) Remove(app App, r *ref) {
	if o, ok := s.anyObject(app, r, "ConfigMap", "Widget", "Service", "Deployment", "Secret"); ok {
		s.add(Step{
			Op:   OpRemove,
			Hand: &Hand{App: app.Name, Kind: o.Kind, Namespace: app.Namespace, Name: o.Name}, About: "delete " + strings.ToLower(o.Kind) + " " + o.Name,
		})
	}
}

// Take has another manager apply a field of ours by force.
func (s *Script) Take(app App, r *ref) {
	if o, ok := s.anyObject(app, r, "ConfigMap"); ok {
		s.add(Step{
			Op:   OpTake,
			Hand: &Hand{App: app.Name, Kind: o.Kind, Namespace: app.Namespace, Name: o.Name, Field: "data.a", Value: handValue + s.next()}, About: "take data.a of " + o.Name,
		})
	}
}

func (s *Script) anyObject(app App, r *ref, of ...string) (Object, bool) {
	dir := r.tip.Dirs[app.Name]
	for _, i := range s.rng.Perm(len(dir.Objects)) {
		if slices.Contains(of, dir.Objects[i].Kind) {
			return dir.Objects[i], true
		}
	}
	return Object{}, false
}

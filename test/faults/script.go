// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/plumbline-dev/plumbline/test/canary"
)

// alertAfters are the windows of divergences: what nobody is told of, what a
// fault outlasts, and what outlasts little more than a healing does.
var alertAfters = []time.Duration{2 * time.Minute, 3 * time.Second, 300 * time.Millisecond}

// Script writes a plan, step by step. It knows what Git holds after each.
type Script struct {
	rng   *rand.Rand
	plan  *Plan
	refs  map[string]*ref // by repository/branch
	fleet []App           // declared now
	spare []App           // not declared now

	steps   []Step
	count   int // steps so far
	value   int // values so far: no two are equal
	made    int // snapshots so far
	secrets int // so far
	burst   bool
	// victim is the one application that is picked, while it is set.
	victim *App
	undo   []func() // what a round puts right at its end, come what may
}

// ref is a branch as the script has left it.
type ref struct {
	repository, branch string
	tip                *Snapshot // nil: deleted
	last               *Snapshot // the newest that it was at
	past               []*Snapshot
}

// Shape is how large a plan is.
type Shape struct {
	Apps   int // applications, a tenth of them not declared at first
	Rounds int
	Steps  int // of a round, about
	Probes int // of I7, twice: beside no fault, and beside one in another application; 0: it isn't measured
	// Hold is how long outages are held, with their steps spread over it; 0: as
	// their kinds say, a few seconds.
	Hold time.Duration
	Tag  string // goes into the names of namespaces, so that two runs of a seed don't meet
}

// roundTime is about what a round takes.
const roundTime = 5 * time.Second

// Duration is about how long a plan of that shape takes, but for what outages are
// held.
func (s Shape) Duration() time.Duration { return time.Duration(s.Rounds) * roundTime }

// During is the shape with as many rounds as fit into a duration.
func (s Shape) During(d time.Duration) Shape {
	s.Rounds = max(1, int(d/roundTime))
	return s
}

// Again is the command that repeats a seed of that shape; kinds are names and
// rows of faults as [Select] takes them, empty for all.
func (s Shape) Again(seed uint64, kinds string) string {
	return fmt.Sprintf("make faults SEED=%d DURATION=%s FAULTS=%s APPS=%d STEPS=%d PROBES=%d HOLD=%s", seed, s.Duration(), kinds, s.Apps, s.Steps, s.Probes, s.Hold)
}

// NewPlan writes the plan of a seed.
func NewPlan(seed uint64, shape Shape, kinds []Fault) Plan {
	plan := Plan{Seed: seed, Canaries: canary.New(seed, canaries)}
	s := &Script{rng: rand.New(rand.NewPCG(seed, 0x706c756d62)), plan: &plan, refs: map[string]*ref{}}
	s.lay(shape)
	s.begin()
	plan.First = s.take()
	plan.Rounds = s.apart(kinds, shape.Probes)
	order := s.deal(kinds, shape.Rounds)
	for _, f := range order {
		r := s.round(f, shape.Steps)
		if f.Outage && shape.Hold > 0 {
			r.last(shape.Hold)
		}
		plan.Rounds = append(plan.Rounds, r)
	}
	return plan
}

// deal decides which kinds are played. Nearly half of them go round all of them,
// one seed after the other, so that seeds that follow one another leave none
// out; one takes something of the log away, by turns; the rest is drawn by
// weight, none twice before most were drawn once.
func (s *Script) deal(kinds []Fault, n int) []Fault {
	if len(kinds) == 0 || n == 0 {
		return nil
	}
	order := s.gravest(kinds)
	share := uint64(n / 2)
	for i := range share {
		order = append(order, kinds[(s.plan.Seed*share+i)%uint64(len(kinds))])
	}
	left := slices.Clone(kinds)
	for len(order) < n {
		if len(left) <= len(kinds)/4 {
			left = slices.Clone(kinds)
		}
		f := draw(s.rng, left)
		left = slices.DeleteFunc(left, func(g Fault) bool { return g.Name == f.Name })
		order = append(order, f)
	}
	s.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order[:n]
}

// gravest is the one kind that takes something of the log away whose turn it is,
// if it is among kinds.
func (s *Script) gravest(kinds []Fault) []Fault {
	turns := []Loss{RestoresLog, LosesLog, RestoresLog, LosesLogBeneath}
	loss := turns[s.plan.Seed%uint64(len(turns))]
	i := slices.IndexFunc(kinds, func(f Fault) bool { return f.Loses == loss })
	if i < 0 {
		return nil
	}
	return []Fault{kinds[i]}
}

// lay decides namespaces, repositories and applications.
func (s *Script) lay(shape Shape) {
	for i := range 3 {
		s.plan.Namespaces = append(s.plan.Namespaces, fmt.Sprintf("f%d-%s%c", s.plan.Seed, shape.Tag, 'a'+i))
	}
	var refs []*ref
	for i := range max(2, shape.Apps/6) {
		name := fmt.Sprintf("repo-%d", i)
		s.plan.Repositories = append(s.plan.Repositories, name)
		refs = append(refs, &ref{repository: name, branch: "main"})
		if i%2 == 1 {
			refs = append(refs, &ref{repository: name, branch: "release"})
		}
	}
	for _, r := range refs {
		s.refs[r.repository+"/"+r.branch] = r
	}
	for i := range shape.Apps {
		r := refs[i%len(refs)]
		app := App{
			Name: fmt.Sprintf("app-%02d", i), Repository: r.repository, Branch: r.branch,
			Namespace:  s.plan.Namespaces[s.rng.IntN(len(s.plan.Namespaces))],
			AlertAfter: alertAfters[s.rng.IntN(len(alertAfters))],
		}
		if i%10 == 9 {
			s.spare = append(s.spare, app)
		} else {
			s.fleet = append(s.fleet, app)
		}
	}
	s.plan.Apps = slices.Clone(s.fleet)
}

// begin writes the first commit of every branch and declares the fleet.
func (s *Script) begin() {
	apps := append(slices.Clone(s.fleet), s.spare...)
	for _, name := range slices.Sorted(maps.Keys(s.refs)) {
		r := s.refs[name]
		dirs := map[string]*Dir{}
		for _, app := range apps {
			if app.ref() == name {
				dirs[app.Name] = s.firstDir(app)
			}
		}
		s.commit(r, dirs, "begin")
	}
	s.declare("declare the fleet")
}

// firstDir makes an application's first objects: ConfigMaps, which cost
// little, and now and then something else.
func (s *Script) firstDir(app App) *Dir {
	dir := &Dir{}
	for i := range 3 + s.rng.IntN(5) {
		dir.Objects = append(dir.Objects, s.configMap(app, i))
	}
	switch s.rng.IntN(6) {
	case 0:
		dir.Objects = append(dir.Objects, s.secret(app))
	case 1:
		dir.Objects = append(dir.Objects, Object{Kind: "Service", Name: app.Name, Fields: map[string]string{"spec.ports.0.port": "80"}})
	case 2:
		dir.Objects = append(dir.Objects, Object{Kind: "Widget", Name: app.Name, Fields: map[string]string{"spec.size": s.next()}})
	case 3:
		dir.Objects = append(dir.Objects, Object{Kind: "Deployment", Name: app.Name, Fields: map[string]string{
			"spec.replicas": "0", "spec.template.spec.containers.0.image": "registry.example.com/app:" + s.next(),
		}})
	}
	return dir
}

func (s *Script) configMap(app App, i int) Object {
	return Object{Kind: "ConfigMap", Name: fmt.Sprintf("%s-%d", app.Name, i), Fields: map[string]string{"data.a": s.next(), "data.b": s.next()}}
}

func (s *Script) secret(app App) Object {
	return Object{Kind: "Secret", Name: app.Name, Fields: map[string]string{"data.token": s.canary()}}
}

// canaries is how many secrets there are; a plan that has more uses some twice.
const canaries = 250

func (s *Script) canary() string {
	s.secrets++
	return s.plan.Canaries.Value(s.secrets % canaries)
}

// next is a value that was not there before.
func (s *Script) next() string {
	s.value++
	return "v" + strconv.Itoa(s.value)
}

// take returns the steps since the last take.
func (s *Script) take() []Step {
	steps := s.steps
	s.steps = nil
	return steps
}

func (s *Script) add(step Step) {
	s.count++
	step.Number = s.count
	step.Ring = s.rng.IntN(10) < 7
	step.Pause = time.Duration(s.rng.IntN(200)) * time.Millisecond
	if s.burst {
		step.Pause = 0
	}
	s.steps = append(s.steps, step)
}

// point sets a ref to a snapshot, new or old.
func (s *Script) point(r *ref, op Op, to *Snapshot, about string) {
	r.tip = to
	if to != nil {
		r.last = to
		if !slices.Contains(r.past, to) {
			r.past = append(r.past, to)
		}
	}
	s.add(Step{Op: op, Repository: r.repository, Branch: r.branch, Tip: to, About: about})
}

// commit makes a commit on a ref with those folders changed.
func (s *Script) commit(r *ref, changed map[string]*Dir, about string) {
	s.point(r, OpCommit, s.child(r.tip, changed), about)
}

func (s *Script) child(parent *Snapshot, changed map[string]*Dir) *Snapshot {
	s.made++
	next := &Snapshot{ID: s.made, Parent: parent, Dirs: map[string]*Dir{}}
	if parent != nil {
		maps.Copy(next.Dirs, parent.Dirs)
	}
	maps.Copy(next.Dirs, changed)
	return next
}

func (s *Script) declare(about string) {
	slices.SortFunc(s.fleet, func(a, b App) int { return cmp.Compare(a.Name, b.Name) })
	s.add(Step{Op: OpFleet, Repository: "fleet", Branch: "main", Apps: slices.Clone(s.fleet), About: about})
}

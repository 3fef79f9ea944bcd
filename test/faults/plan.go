// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/test/canary"
)

// Plan is everything that a seed decides: equal seed and options, equal plan.
type Plan struct {
	Seed         uint64
	Namespaces   []string
	Repositories []string
	Apps         []App // that the fleet declares at first
	First        []Step
	Rounds       []Round
	Canaries     *canary.Set // secrets that stand in Git and may be in no other place than the cluster
}

// App is one application.
type App struct {
	Name       string        `json:"name"`
	Repository string        `json:"repository"`
	Branch     string        `json:"branch"`
	Namespace  string        `json:"namespace"`
	AlertAfter time.Duration `json:"alertAfter"`
}

// path is its folder in the repository.
func (a App) path() string { return "apps/" + a.Name }

// ref is what it follows: repository/branch.
func (a App) ref() string { return a.Repository + "/" + a.Branch }

// Round is some steps with a fault in their middle.
type Round struct {
	Fault string // its name; empty: none
	Seed  uint64 // of the fault's own choices
	Hold  time.Duration
	Steps []Step
	At    int // the fault begins before this step
	// Idle says that the fault is made of steps, and there are none of it: there
	// was nothing to do it to.
	Idle bool
	// Victim is the application that the fault is of, where it is of one alone;
	// nil: it is of whatever it finds.
	Victim *App
	// After are played when the fault is lifted, before recovery is awaited:
	// they put right what the round broke on purpose.
	After []Step
}

// Op is what a step does.
type Op string

// Ops. All but edit, remove and claim change a ref.
const (
	OpCommit  Op = "commit"  // a new commit
	OpRevert  Op = "revert"  // a new commit with an old tree
	OpRewind  Op = "rewind"  // a force-push to a commit that was there before, or a sibling of the tip
	OpDelete  Op = "delete"  // the branch is deleted
	OpRestore Op = "restore" // a deleted branch comes back
	OpFleet   Op = "fleet"   // applications are declared or withdrawn
	OpEdit    Op = "edit"    // a hand edit in the cluster
	OpRemove  Op = "remove"  // a deletion by hand in the cluster
	OpTake    Op = "take"    // another manager applies a field of ours by force
)

// Step is one step of the workload.
type Step struct {
	Number     int
	Op         Op
	Repository string
	Branch     string
	Tip        *Snapshot // what the ref points at after it; nil where it is gone
	Apps       []App     // of the fleet after it, for OpFleet
	Hand       *Hand     // for OpEdit, OpRemove and OpTake
	Ring       bool      // the webhook is rung; else the poll finds it
	Pause      time.Duration
	Probe      *Probe
	About      string
}

// Probe says of a commit when it is there: as soon as an object has a value.
// From the push until then is what somebody waits who has nothing to do with
// any fault.
type Probe struct {
	App    string `json:"app"`
	Key    string `json:"key"` // of the object
	Value  string `json:"value"`
	Beside bool   `json:"beside,omitempty"` // a fault in another application
}

// pushes says whether it changes a ref.
func (s Step) pushes() bool { return s.Op != OpEdit && s.Op != OpRemove && s.Op != OpTake }

func (s Step) String() string {
	where := s.Repository + "/" + s.Branch
	if s.Repository == "" {
		where = "cluster"
	}
	return fmt.Sprintf("%4d %-8s %-12s %s", s.Number, s.Op, where, s.About)
}

// Hand is what a hand does in the cluster.
type Hand struct {
	App       string `json:"app"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Field     string `json:"field,omitempty"` // that is written; empty: none
	Value     string `json:"value,omitempty"` // empty: the field is removed
}

// Snapshot is a commit of the workload: what each application's folder
// declares.
type Snapshot struct {
	ID     int             `json:"id"`
	Parent *Snapshot       `json:"-"`
	Dirs   map[string]*Dir `json:"dirs"` // by application
}

// Dir is one application's folder. It is never changed once made.
type Dir struct {
	Objects []Object `json:"objects"`
	// Broken says why it can't be rendered; empty: it can.
	Broken Breakage `json:"broken,omitempty"`
}

// Breakage is a way in which a folder can't be rendered.
type Breakage string

// Breakages.
const (
	BrokenSyntax    Breakage = "syntax"    // a file that is no YAML
	BrokenEmpty     Breakage = "empty"     // a folder without objects
	BrokenMissing   Breakage = "missing"   // no folder
	BrokenTwice     Breakage = "twice"     // one object declared twice
	BrokenKustomize Breakage = "kustomize" // a kustomization that names what isn't there
	BrokenBomb      Breakage = "bomb"      // aliases that expand to more than any memory holds
	BrokenSlow      Breakage = "slow"      // thousands of objects, and a mistake after the last
	BrokenCrash     Breakage = "crash"     // a file that kills the process that reads it, each time
)

// files are a snapshot's files, by path.
func (s *Snapshot) files() map[string]string {
	files := map[string]string{"README.md": "A repository of the workload.\n"}
	for app, dir := range s.Dirs {
		maps.Copy(files, dir.files("apps/"+app+"/"))
	}
	return files
}

func (d *Dir) files(prefix string) map[string]string {
	files := map[string]string{}
	switch d.Broken {
	case BrokenMissing:
		return files
	case BrokenEmpty:
		files[prefix+"README.md"] = "nothing here\n"
		return files
	case BrokenSyntax:
		files[prefix+"broken.yaml"] = "kind: [\n"
	case BrokenTwice:
		files[prefix+"twice.yaml"] = d.Objects[0].yaml()
	case BrokenBomb:
		files[prefix+"bomb.yaml"] = bomb()
	case BrokenSlow:
		files[prefix+"many.yaml"] = many()
	case BrokenCrash:
		files[prefix+"crash.yaml"] = "# plumbline-failpoint: " + string(failpoint.RendererChildReads) + "=kill\n"
	case BrokenKustomize:
		files[prefix+"kustomization.yaml"] = "resources: [gone.yaml]\n"
	}
	for _, o := range d.Objects {
		files[prefix+strings.ToLower(o.Kind)+"-"+o.Name+".yaml"] = o.yaml()
	}
	return files
}

// bomb is a document of some hundred bytes that comes to 10¹² nodes.
func bomb() string {
	b := []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nx0: &x0 [a]\n")
	for n := range 12 {
		b = fmt.Appendf(b, "x%d: &x%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", n), 10), ", "))
	}
	return string(b)
}

// many is a file that takes long to read and then can't be.
func many() string {
	var b []byte
	for n := range 10_000 {
		b = fmt.Appendf(b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%d}\ndata: {a: b}\n", n)
	}
	return string(append(b, "---\nkind: [\n"...))
}

func (d *Dir) find(kind, name string) *Object {
	i := slices.IndexFunc(d.Objects, func(o Object) bool { return o.Kind == kind && o.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Objects[i]
}

// declares says whether any folder declares an object of that name.
func (s *Snapshot) declares(o Object) bool {
	for _, dir := range s.Dirs {
		if dir.find(o.Kind, o.Name) != nil {
			return true
		}
	}
	return false
}

// RefChanges counts the steps that change a ref.
func (p Plan) RefChanges() int {
	n := 0
	for _, step := range p.steps() {
		if step.pushes() {
			n++
		}
	}
	return n
}

func (p Plan) steps() []Step {
	all := slices.Clone(p.First)
	for _, r := range p.Rounds {
		all = append(all, r.Steps...)
		all = append(all, r.After...)
	}
	return all
}

// String lists every step and fault.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d applications, %d ref changes, %d rounds\n", p.Seed, len(p.Apps), p.RefChanges(), len(p.Rounds))
	for _, s := range p.First {
		fmt.Fprintln(&b, s)
	}
	for i, r := range p.Rounds {
		fmt.Fprintf(&b, "round %d: %s for %s\n", i+1, r.Fault, r.Hold.Round(time.Millisecond))
		for j, s := range r.Steps {
			if j == r.At {
				fmt.Fprintf(&b, "     begin %s\n", r.Fault)
			}
			fmt.Fprintln(&b, s)
		}
		fmt.Fprintf(&b, "     lift %s\n", r.Fault)
		for _, s := range r.After {
			fmt.Fprintln(&b, s)
		}
	}
	return b.String()
}

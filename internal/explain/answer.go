// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Declaration is where an object comes from and how it fared, for one
// application that declares it.
type Declaration struct {
	Application string `json:"application"`
	Cluster     string `json:"cluster"`
	Repository  string `json:"repository"` // its name in the fleet
	URL         string `json:"url,omitempty"`
	Ref         string `json:"ref"`
	File        string `json:"file"` // from the root of the repository
	Line        int    `json:"line"` // 1-based
	Digest      string `json:"digest"`
	// Revision is the newest one that declares the object, Changed the one in
	// which its digest last changed.
	Revision Commit `json:"revision"`
	Changed  Commit `json:"changed"`
	// Applied is its last write; nil: the log tells of none.
	Applied *Applied `json:"applied,omitempty"`
	// Divergences are open; Healed were, the last one first.
	Divergences []Divergence `json:"divergences,omitempty"`
	Healed      []Divergence `json:"healed,omitempty"`
	// Heal says whether the policy heals a divergence; Observe, that nothing is
	// ever written.
	Heal    bool `json:"heal"`
	Observe bool `json:"observe,omitempty"`

	// Object is the object with the namespace that it defaults to.
	Object events.DeclaredObject `json:"-"`
	// Ignore are the application's rules.
	Ignore []events.IgnoreRule `json:"-"`
	// Bundle is where the object's body is.
	Bundle events.Blob `json:"-"`
}

// Commit is a commit as the log tells of it.
type Commit struct {
	Commit string    `json:"commit"`
	Title  string    `json:"title,omitempty"` // empty: the log tells no more
	Author string    `json:"author"`
	When   time.Time `json:"when"`
}

// Applied is a write by the applier.
type Applied struct {
	When   time.Time     `json:"when"`
	Commit string        `json:"commit"`
	Cause  string        `json:"cause"` // revision | heal | resync | approval
	Action events.Action `json:"action"`
	Digest string        `json:"digest"` // the object digest that was applied
	// Since then it was found to be as it should be, the last time at Seen; zero:
	// it was not looked at again.
	Seen time.Time `json:"seen,omitzero"`
}

// Divergence is one that is open, or was.
type Divergence struct {
	events.Divergence
	Persisted bool            `json:"persisted"` // it was alerted
	Resolved  time.Time       `json:"resolved,omitzero"`
	After     events.Duration `json:"after,omitempty"` // how long it lasted
	How       string          `json:"how,omitempty"`
}

// maxHealed is how many divergences that are over are told.
const maxHealed = 5

// Declarations says of an object, its namespace resolved, where it comes from:
// one entry for each application that declares it.
func Declarations(o events.Object, all []*Application) []Declaration {
	out := []Declaration{}
	for _, a := range all {
		for _, declared := range a.Objects() {
			if same(declared.Object, o) {
				out = append(out, a.declaration(declared))
			}
		}
	}
	return out
}

// same compares objects whatever version they are written in. An object that
// is named without a namespace is the cluster-scoped one, which was given one
// as its kind's scope was not known.
func same(declared, o events.Object) bool {
	if o.Namespace == "" {
		declared.Namespace = ""
	}
	return declared.Key() == o.Key()
}

func (a *Application) declaration(o events.DeclaredObject) Declaration {
	m := a.Manifests()
	d := Declaration{
		Application: a.Application, Cluster: a.Cluster,
		Repository: m.Declaration.Source.Repository, URL: m.Declaration.Source.URL, Ref: m.Revision.Ref,
		File: o.File, Line: o.Line, Digest: o.Digest,
		Revision: Commit{m.Revision.Commit, m.Revision.Title, m.Revision.Author.Name, m.Revision.Author.When},
		Changed:  Commit{o.Since.Commit, a.titles[o.Since.Commit], o.Since.Author, o.Since.When},
		Observe:  m.Declaration.Converge.Mode == events.ModeObserve,
		Object:   o, Ignore: m.Declaration.Audit.Ignore, Bundle: m.Bundle,
	}
	d.Heal = m.Declaration.Audit.Heal && !d.Observe
	if d.Changed.Title == "" && d.Changed.Commit == d.Revision.Commit {
		d.Changed.Title = d.Revision.Title
	}
	d.Applied = a.lastWrite(o.Object)
	d.Divergences, d.Healed = a.divergences(o.Object)
	return d
}

// lastWrite is the last write of an object, nil where the log tells of none.
func (a *Application) lastWrite(o events.Object) *Applied {
	var last *Applied
	for _, w := range a.applied {
		p, ok := w.event.Data.(*events.ConvergenceApplied)
		if !ok {
			continue
		}
		for _, done := range w.objects {
			if !alike(done.Object, o) {
				continue
			}
			switch done.Action {
			case events.ActionPruned, events.ActionOrphaned, events.ActionPassed:
				last = nil
			case events.ActionHeld:
			case events.ActionUnchanged:
				if last != nil {
					last.Seen = w.event.Time
				}
			default:
				last = &Applied{When: w.event.Time, Commit: p.Revision.Commit, Cause: p.Cause, Action: done.Action, Digest: done.Digest}
			}
		}
	}
	return last
}

// divergences are those of an object: the open ones and the last that are over.
func (a *Application) divergences(o events.Object) (open, over []Divergence) {
	for _, e := range a.last {
		switch p := e.Data.(type) {
		case *events.DivergenceDetected:
			if p.Object != nil && alike(*p.Object, o) {
				open = append(open, Divergence{Divergence: p.Divergence})
			}
		case *events.DivergencePersisted:
			if p.Object != nil && alike(*p.Object, o) {
				open = append(open, Divergence{Divergence: p.Divergence, Persisted: true})
			}
		}
	}
	slices.SortFunc(open, func(x, y Divergence) int { return x.Since.Compare(y.Since) })
	for _, e := range slices.Backward(a.resolved) {
		p, ok := e.Data.(*events.DivergenceResolved)
		if !ok || p.Object == nil || !alike(*p.Object, o) || len(over) == maxHealed {
			continue
		}
		over = append(over, Divergence{Divergence: p.Divergence, Persisted: p.Persisted, Resolved: e.Time, After: p.After, How: p.How})
	}
	return open, over
}

// alike compares an object of an event, its scope resolved, with a declared
// one, which may have been given the namespace that it does not have.
func alike(resolved, declared events.Object) bool { return same(declared, resolved) }

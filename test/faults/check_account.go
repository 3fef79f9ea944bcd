// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
)

// outcomes are the events that say what became of a revision.
var outcomes = []string{
	"manifests.unchanged", "render.failed", "convergence.applied", "convergence.completed",
	"convergence.failed", "convergence.held", "convergence.superseded",
}

// checkAccounts decides I5. Each revision that was observed came to an outcome
// that an event tells, or a newer one of its application was observed: in the
// same log, where it was left out for that, or in the next, where it was lost
// with the log. And at rest the newest one is that of Git.
func checkAccounts(h History) []finding {
	c := accounts{revisions: map[string][]*account{}, byOrder: map[string]*account{}}
	view := newGitView()
	var found []finding
	for i, r := range h {
		switch {
		case r.Ref != nil:
			view.take(r.Ref)
		case r.Event != nil:
			c.take(i, *r.Event)
		case r.Quiet != nil && r.Quiet.Late == "":
			found = append(found, c.close(i, view)...)
		}
	}
	return found
}

// account is one revision of an application, and whether anything came of it.
type account struct {
	Event
	index   int
	outcome string
}

type accounts struct {
	revisions map[string][]*account // by application, in the order in which they were seen
	byOrder   map[string]*account
}

func (c *accounts) take(i int, e Event) {
	order := fmt.Sprint(e.App, " ", e.Epoch, " ", e.Sequence)
	if e.Type == "commit.observed" {
		if c.byOrder[order] == nil {
			c.byOrder[order] = &account{Event: e, index: i}
			c.revisions[e.App] = append(c.revisions[e.App], c.byOrder[order])
		}
		return
	}
	if a := c.byOrder[order]; a != nil && slices.Contains(outcomes, e.Type) {
		a.outcome = e.Type
	}
}

// close looks at the books when all is at rest.
func (c *accounts) close(i int, view *gitView) []finding {
	var found []finding
	for _, name := range slices.Sorted(maps.Keys(view.declared)) {
		app := view.declared[name]
		tip := view.commits[app.ref()]
		list := c.revisions[name]
		if len(list) == 0 {
			if tip != "" {
				found = append(found, finding{"I5", i, fmt.Sprintf("%s: no revision was ever observed, and Git is at %.12s", name, tip)})
			}
			continue
		}
		last := list[len(list)-1]
		if tip != "" && last.Commit != tip {
			found = append(found, finding{"I5", i, fmt.Sprintf("%s: the newest revision observed is %.12s, and Git is at %.12s", name, last.Commit, tip)})
		}
		if last.outcome == "" {
			found = append(found, finding{"I5", i, fmt.Sprintf("%s: nothing came of revision %d (%.12s), and no newer one was observed", name, last.Sequence, last.Commit)})
		}
	}
	return found
}

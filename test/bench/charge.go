// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// stint is the applier's work on one revision of one application, as the event
// that it ended with tells of it. It works on one revision of an application at
// a time.
type stint struct {
	application  string
	sequence     uint64 // of the revision
	outcome      string // name of the event
	began, ended time.Time
}

// stintsOf are the stints that events tell of. What says nothing, because it
// finds nothing to do, has none.
func stintsOf(seen []rig.Seen) []stint {
	var all []stint
	for _, e := range seen {
		switch name := e.Type.Name(); name {
		case "convergence.applied", "convergence.failed", "convergence.held", "convergence.superseded":
			all = append(all, stint{e.Application, e.Sequence, name, e.StageStart, e.StageEnd})
		}
	}
	return all
}

// charge is a request and the work that it was sent in; nil: in none that was
// told of.
type charge struct {
	kubelab.Request
	of *stint
}

// applierUser is the identity of the applier in the audit log, before its
// cluster.
const applierUser = "plumbline-applier-"

// chargesOf finds for each request the work that it was sent in.
func chargesOf(asked []kubelab.Request, stints []stint) []charge {
	byApplication := map[string][]*stint{}
	for i := range stints {
		s := &stints[i]
		byApplication[s.application] = append(byApplication[s.application], s)
	}
	charges := make([]charge, len(asked))
	for i, r := range asked {
		charges[i].Request = r
		if !strings.HasPrefix(r.User, applierUser) {
			continue
		}
		for _, s := range byApplication[concerned(r)] {
			if !r.Received.Before(s.began) && !r.Received.After(s.ended) {
				charges[i].of = s
				break
			}
		}
	}
	return charges
}

// concerned is the application that a request is about: each has a namespace,
// and an inventory, of its own.
func concerned(r kubelab.Request) string {
	if r.Namespace == inventories {
		return strings.TrimPrefix(r.Name, "inventory.")
	}
	return r.Namespace
}

// ofNone says that it can be no revision's: another service sent it, as the
// auditor, where it sees a write before the log tells of its revision; or it begins
// a watch anew, over all namespaces.
func (c charge) ofNone() bool {
	return !strings.HasPrefix(c.User, applierUser) || c.Namespace == ""
}

// applied says that a request is one of a revision that was taken up. What isn't,
// and is of an application, is spent on what is left out for a newer one.
func (c charge) applied() bool { return c.of != nil && c.of.outcome != "convergence.superseded" }

// plain says that it is one that every revision costs: a write of the object
// that it changes, or of the inventory before and after.
func (c charge) plain() bool {
	return c.Resource == "configmaps" && (c.Verb == "patch" || c.Verb == "update") && c.Code < 400
}

// String names the request and the revision that it is of.
func (c charge) String() string {
	text := fmt.Sprintf("%s %s %s/%s by %s, answered %d", c.Verb, c.Resource, c.Namespace, c.Name, c.User, c.Code)
	switch {
	case c.ofNone():
		return text + ", for no revision"
	case c.of == nil:
		return text + ", in no work that an event tells of"
	}
	return fmt.Sprintf("%s, for the revision of sequence %d, %s", text, c.of.sequence, c.of.outcome)
}

// toll is what some requests were spent on.
type toll struct {
	changes, records int // writes of objects, and of inventories
	others           int // what else revisions took that were applied, and what is of none
	superseded       int // whatever was spent on what wasn't applied
	named            []string
}

func tollOf(charges []charge) toll {
	var t toll
	for _, c := range charges {
		switch {
		case !c.applied() && !c.ofNone():
			t.superseded++
		case !c.applied(), !c.plain():
			t.others++
		case c.Namespace == inventories:
			t.records++
		default:
			t.changes++
		}
		if !c.applied() || !c.plain() {
			t.named = append(t.named, c.String())
		}
	}
	return t
}

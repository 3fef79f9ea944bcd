// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Account is what became of a revision, as the log tells it.
type Account string

// Accounts. The first ones are told by an event of the revision's own; the
// last three are told by a newer observation.
const (
	AccountApplied    Account = "applied"
	AccountUnchanged  Account = "unchanged"
	AccountHeld       Account = "held"
	AccountFailed     Account = "failed"
	AccountSuperseded Account = "superseded" // by an event, which names the newer revision
	AccountOvertaken  Account = "overtaken"  // a newer one was observed in the same life of the log, before anything came of it
	AccountLost       Account = "lost"       // with a life of the log, and a newer one was observed in a later one
	AccountWithdrawn  Account = "withdrawn"  // its application was, before anything came of it
)

// AllAccounts are all accounts, in their order in a table.
var AllAccounts = []Account{
	AccountApplied, AccountUnchanged, AccountHeld, AccountFailed, AccountSuperseded, AccountOvertaken, AccountLost, AccountWithdrawn,
}

// outcomes are the events that say what became of a revision.
var outcomes = map[string]Account{
	"manifests.unchanged":    AccountUnchanged,
	"render.failed":          AccountFailed,
	"convergence.applied":    AccountApplied,
	"convergence.completed":  AccountApplied,
	"convergence.failed":     AccountFailed,
	"convergence.held":       AccountHeld,
	"convergence.superseded": AccountSuperseded,
}

// checkDenials decides what of I5 is of deletions: that one was denied, an event
// says by rest, of the application's failure and with the object. Where a newer
// revision was observed meanwhile, or the application is no longer declared, it
// may have been given up before it was told.
func checkDenials(h History) []finding {
	var found []finding
	type denial struct {
		Denial
		told, over bool
	}
	var denied []*denial
	declared := map[string]bool{}
	for i, r := range h {
		switch {
		case r.Ref != nil && r.Ref.Op == OpFleet:
			declared = map[string]bool{}
			for _, app := range r.Ref.Apps {
				declared[app.Name] = true
			}
		case r.Denied != nil:
			denied = append(denied, &denial{Denial: *r.Denied})
		case r.Event != nil:
			for _, d := range denied {
				of := r.Event.App == d.App
				d.told = d.told || of && r.Event.Type == "convergence.failed" && slices.Contains(r.Event.Objects, d.Key)
				d.over = d.over || of && r.Event.Type == "commit.observed"
			}
		case r.Quiet != nil:
			told := map[string]bool{}
			for _, d := range denied {
				told[d.Key] = told[d.Key] || d.told || d.over
			}
			for _, d := range denied {
				if !told[d.Key] && declared[d.App] {
					told[d.Key] = true
					found = append(found, finding{"I5", i, fmt.Sprintf("the deletion of %s of %s was denied, and nobody said so", d.Key, d.App)})
				}
			}
			denied = nil
		}
	}
	return found
}

// checkAccounts decides I5, for each revision by itself, at every rest: an
// event of its own says what became of it, or it was overtaken, or it was lost
// with a life of the log, and what has taken its place was observed. What was
// rendered is in the applier's hands, who must say what becomes of it: while
// its log lives, only two things stand for an event of its own. A newer
// revision of the same bundle came to something, as that is what this one would
// have come to; or the applier itself was ended, or was two, with it in hand. An
// event that says superseded names what by, and that must be newer. What can't
// be rendered has failed, and what crashes its render is set aside. And at rest the newest revision is Git's newest commit.
func checkAccounts(h History) []finding {
	found, _ := account(h)
	return found
}

// Accounts counts what became of every revision of a history.
func Accounts(h History) map[Account]int {
	_, books := account(h)
	counts := map[Account]int{}
	for _, r := range books.all {
		counts[books.settle(r)]++
	}
	return counts
}

func account(h History) ([]finding, *accounts) {
	c := &accounts{
		revisions: map[string][]*revision{}, byOrder: map[string]*revision{}, lives: map[string]int{},
		known: newRevisions(h), lists: map[string][]uint64{}, rejected: map[string]bool{}, told: map[*revision]bool{}, withdrawn: map[string]int{},
	}
	view := newGitView()
	var found []finding
	for i, r := range h {
		switch {
		case r.Ref != nil:
			view.take(r.Ref)
		case r.Log != nil:
			c.life++
			c.lives[r.Log.Epoch] = c.life
		case r.Begun != nil && slices.Contains(endsAppliers, r.Begun.Row):
			c.ended = append(c.ended, [2]int{i, 0})
		case r.Lifted != nil && slices.Contains(endsAppliers, r.Lifted.Row) && len(c.ended) > 0:
			c.ended[len(c.ended)-1][1] = i
		case r.Event != nil:
			c.take(i, *r.Event)
		case r.Quiet != nil && r.Quiet.Late == "":
			found = append(found, c.tips(i, view)...)
			found = append(found, c.close(i, view)...)
		}
	}
	return found, c
}

// revision is one revision of an application, and what the log tells of it.
type revision struct {
	Event
	index    int // of the record that observes it
	place    int // among its application's
	rendered int // the record that says so; 0: none does
	bundle   string
	account  Account // of its own events; empty: there is none
	told     int     // the record of the first of them
	reason   string  // of the last of them
	by       *Event  // that says superseded
}

type accounts struct {
	known     revisions
	all       []*revision
	revisions map[string][]*revision // by application, in the order in which they were seen
	byOrder   map[string]*revision
	lives     map[string]int // of the log, by epoch, from 1
	life      int            // the present one
	lists     map[string][]uint64
	rejected  map[string]bool // commits
	told      map[*revision]bool
	withdrawn map[string]int // by application: the last record that says that it was
	ended     [][2]int       // from where to where something ended appliers; to 0: it goes on
}

func (c *accounts) take(i int, e Event) {
	order := orderOf(e)
	r := c.byOrder[order]
	switch {
	case e.Type == "commit.rejected":
		c.rejected[e.Commit] = true
	case e.Type == "application.withdrawn":
		c.withdrawn[e.App] = i
	case e.Type == "fleet.observed":
		c.lists[e.Log] = append(c.lists[e.Log], e.Stored)
	case e.Type == "commit.observed" && r == nil:
		r = &revision{Event: e, index: i, place: len(c.revisions[e.App])}
		c.byOrder[order] = r
		c.revisions[e.App] = append(c.revisions[e.App], r)
		c.all = append(c.all, r)
	case r == nil:
	case e.Type == "manifests.rendered":
		r.rendered, r.bundle = i, e.Digest
	case outcomes[e.Type] == AccountSuperseded:
		r.by = &e
		r.account = cmp.Or(r.account, AccountSuperseded)
		r.told = cmp.Or(r.told, i)
	case outcomes[e.Type] != "":
		r.account, r.reason = outcomes[e.Type], e.Reason
		r.bundle = cmp.Or(r.bundle, e.Digest)
		r.told = cmp.Or(r.told, i)
	}
}

// settle says what became of a revision; empty: nothing did.
func (c *accounts) settle(r *revision) Account {
	if r.account != "" {
		return r.account
	}
	later := c.revisions[r.App][r.place+1:]
	alive := c.lives[r.Epoch] == c.life
	overtaken := slices.ContainsFunc(later, func(n *revision) bool { return c.overtakes(n, r) })
	newer := slices.ContainsFunc(later, func(n *revision) bool { return c.lives[n.Epoch] > c.lives[r.Epoch] })
	switch {
	case overtaken:
		return AccountOvertaken
	case !alive && newer:
		return AccountLost
	case c.withdrawn[r.App] > r.index, !alive && c.relisted(r):
		return AccountWithdrawn
	}
	return ""
}

// overtakes says that a newer revision stands for one of which nothing is said.
func (c *accounts) overtakes(n, r *revision) bool {
	if n.Epoch != r.Epoch || n.Sequence <= r.Sequence {
		return false
	}
	return r.rendered == 0 || n.told > 0 && (n.bundle == r.bundle || c.appliersEnded(r.rendered, n.told))
}

// appliersEnded says that something between two records ended an applier.
func (c *accounts) appliersEnded(from, to int) bool {
	return slices.ContainsFunc(c.ended, func(span [2]int) bool { return span[0] <= to && (span[1] == 0 || span[1] >= from) })
}

// endsAppliers are the rows whose faults end an applier, or a second one.
var endsAppliers = []string{"F3", "F5", "F32"}

// relisted says that a later life of the log has a list of the fleet: what it
// lacks is no longer asked for.
func (c *accounts) relisted(r *revision) bool {
	for epoch := range c.lists {
		if c.lives[epoch] > c.lives[r.Epoch] {
			return true
		}
	}
	return false
}

// close looks at the books when all is at rest; each revision is complained of
// once.
func (c *accounts) close(i int, view *gitView) []finding {
	var found []finding
	for _, r := range c.all {
		if c.told[r] {
			continue
		}
		text := c.wrong(r, view)
		if text == "" {
			continue
		}
		c.told[r] = true
		found = append(found, finding{"I5", i, fmt.Sprintf("%s: revision %d (%.12s) %s", r.App, r.Sequence, r.Commit, text)})
	}
	return found
}

// wrong says what is wrong with the account of a revision, or "".
func (c *accounts) wrong(r *revision, view *gitView) string {
	if r.by != nil {
		if text := c.wrongBy(r); text != "" {
			return text
		}
	}
	_, declared := view.declared[r.App]
	var broken Breakage
	if dir := c.known.dirs[r.Commit][r.App]; dir != nil {
		broken = dir.Broken
	}
	switch account := c.settle(r); {
	case broken == BrokenCrash && account == AccountFailed && r.reason != reasonQuarantined:
		return "crashes whatever renders it, and was not set aside but failed: " + r.reason
	case broken != "" && slices.Contains([]Account{AccountApplied, AccountUnchanged, AccountHeld}, account):
		return fmt.Sprintf("can't be rendered (%s), and is said to be %s", broken, account)
	case account == "" && r.rendered > 0:
		return "was rendered, and nobody said what became of it"
	case account == "":
		return "came to nothing, and no newer one was observed"
	case account == AccountWithdrawn && declared && c.withdrawn[r.App] < r.index:
		return "was lost with its log, and no newer one was observed, though it is declared"
	}
	return ""
}

// wrongBy says what is wrong with an event that says superseded, or "". What
// supersedes a revision is a newer one of its application, a newer list of the
// fleet, or, as 0, another life of the log.
func (c *accounts) wrongBy(r *revision) string {
	by := r.by.By
	if by == 0 {
		if c.life < 2 {
			return "is said to be superseded by another life of the log, and there was none"
		}
		return ""
	}
	if by <= r.Sequence && r.by.Log == r.Epoch {
		return fmt.Sprintf("is said to be superseded by %d, which isn't newer", by)
	}
	named := slices.Contains(c.lists[r.by.Log], by) ||
		slices.ContainsFunc(c.revisions[r.App], func(n *revision) bool { return n.Sequence == by && n.Log == r.by.Log })
	if !named && r.by.Log == r.Epoch && c.lives[r.Epoch] == c.life {
		return fmt.Sprintf("is said to be superseded by %d, and that is no revision of it and no list", by)
	}
	return ""
}

// tips compares the newest revisions with Git.
func (c *accounts) tips(i int, view *gitView) []finding {
	var found []finding
	for _, name := range slices.Sorted(maps.Keys(view.declared)) {
		tip := view.commits[view.declared[name].ref()]
		list := c.revisions[name]
		switch {
		case tip == "" || c.rejected[tip]:
		case len(list) == 0:
			found = append(found, finding{"I5", i, fmt.Sprintf("%s: no revision was ever observed, and Git is at %.12s", name, tip)})
		case list[len(list)-1].Commit != tip:
			found = append(found, finding{"I5", i, fmt.Sprintf("%s: the newest revision observed is %.12s, and Git is at %.12s", name, list[len(list)-1].Commit, tip)})
		}
	}
	return found
}

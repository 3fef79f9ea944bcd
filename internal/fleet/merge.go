// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
)

// State is what is in force: what is declared, and what is held. It is kept as
// JSON from one reading of the fleet to the next; the zero State remembers
// nothing.
type State struct {
	// Repositories and Clusters are those that are declared, and those that a
	// held application still needs.
	Repositories []Repository `json:"repositories"`
	Clusters     []Cluster    `json:"clusters"`
	Applications []Entry      `json:"applications"` // in order of name
	// Left are the clusters that were declared before and are no longer, in
	// order of name. Each still has a list, so that what it lacks is withdrawn
	// there: a cluster that goes with its last application, or between two
	// readings, is no other than one that goes after it.
	Left []string `json:"left,omitempty"`
	// Rejections are what was refused, with everything that each of them holds.
	Rejections []Rejection `json:"rejections"`
	// Complete says that Applications lists everything that may be declared.
	// It is false while something can't be read and what it declared before is
	// not remembered: then an application that isn't listed is unknown, not
	// withdrawn, and [State.Lists] must not be published.
	Complete bool `json:"complete"`
}

// Entry is one application in force.
type Entry struct {
	Name string `json:"name"`
	// Declaration is nil where the application is held before a valid
	// declaration of it was ever seen.
	Declaration *events.Declaration `json:"declaration,omitempty"`
	// Held says that what is declared now is invalid or can't be read, and
	// that Declaration is what was declared before.
	Held bool `json:"held,omitempty"`
	// Cluster is where it is listed; empty, where it can't be told: on all.
	Cluster string `json:"cluster,omitempty"`
	// File is where it was declared last.
	File string `json:"file"`
}

// Merge is what is in force once now has been read, after previous was. An
// application of previous is
//   - declared, where now has a valid declaration of it;
//   - held, where its declaration in now is invalid, or where something that
//     can't be read may declare it: see [Result];
//   - else withdrawn: it is not in the new State.
//
// Each declaration gets the age recipient of its cluster; localRecipient is
// that of [LocalCluster]. Merge must not be called with the reading of a fleet
// whose folder is missing: that is an outage, not an empty fleet.
func Merge(previous State, now Result, localRecipient string) State {
	entries := map[string]Entry{}
	for _, d := range now.Applications {
		entries[d.Application] = Entry{Name: d.Application, Declaration: &d, Cluster: d.Cluster, File: d.File}
	}
	before := map[string]Entry{}
	for _, e := range previous.Applications {
		before[e.Name] = e
	}
	for _, i := range now.invalid {
		entries[i.name] = i.hold(before[i.name], previous.Complete)
	}
	rejections := slices.Clone(now.Rejections)
	for _, e := range previous.Applications {
		if _, there := entries[e.Name]; there {
			continue
		}
		may := now.mayDeclare(e)
		if len(may) == 0 {
			continue
		}
		entries[e.Name] = e.holdIn(may)
		for _, u := range may {
			r := &rejections[u.rejection]
			r.Holds = sorted(append(slices.Clone(r.Holds), e.Name))
		}
	}
	next := State{
		Repositories: now.Repositories, Clusters: now.Clusters,
		Rejections: rejections,
		Complete:   len(now.unread) == 0 || previous.Complete,
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		next.Applications = append(next.Applications, entries[name])
	}
	next.keep(previous)
	next.leave(previous)
	next.link(localRecipient)
	return next
}

// leave takes over the clusters of before that aren't declared any more.
func (s *State) leave(before State) {
	left := map[string]bool{}
	for _, name := range before.Left {
		left[name] = true
	}
	for _, c := range before.Clusters {
		left[c.Name] = true
	}
	for _, c := range s.Clusters {
		delete(left, c.Name)
	}
	s.Left = slices.Sorted(maps.Keys(left))
}

// hold is the entry of an application whose declaration is refused. Without a
// complete memory, an application that isn't remembered may have been on any
// cluster, whatever its declaration says now.
func (i invalid) hold(before Entry, complete bool) Entry {
	if before.Name == "" {
		before = Entry{Name: i.name}
		if complete {
			before.Cluster = i.cluster
		}
	}
	before.Held, before.File = true, i.file
	return before
}

// mayDeclare is what can't be read and may declare an application that is
// declared nowhere else: the file that declared it before; one that mentions
// it; and any, if the file that declared it is gone, since it may have been
// moved.
func (r Result) mayDeclare(e Entry) []unread {
	var may []unread
	_, there := slices.BinarySearch(r.files, e.File)
	for _, u := range r.unread {
		if u.file == e.File || !there || u.mentions(e.Name) {
			may = append(may, u)
		}
	}
	return may
}

// holdIn is e, held for what may declare it. Where that is another file than
// before, e stands there from now on, whatever becomes of its text.
func (e Entry) holdIn(may []unread) Entry {
	e.Held = true
	if !slices.ContainsFunc(may, func(u unread) bool { return u.file == e.File }) {
		e.File = may[0].file
	}
	return e
}

// mentions reports whether a name may stand in the text: letter by letter and
// not as a part of a longer name, or spelt in a way that can't be searched for.
func (u unread) mentions(name string) bool {
	if !utf8.ValidString(u.text) || strings.ContainsAny(u.text, "\\\x00") {
		return true
	}
	for rest := u.text; ; {
		before, after, found := strings.Cut(rest, name)
		if !found {
			return false
		}
		at := len(u.text) - len(rest) + len(before)
		if (at == 0 || !labelByte(u.text[at-1])) && (after == "" || !labelByte(after[0])) {
			return true
		}
		rest = u.text[at+1:]
	}
}

// labelByte reports whether c may be a part of a name.
func labelByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
}

// keep takes over the repositories and clusters of before that held
// applications need and that aren't declared validly now.
func (s *State) keep(before State) {
	repositories, clusters := map[string]bool{}, map[string]bool{}
	for _, e := range s.Applications {
		if e.Declaration != nil && e.Held {
			repositories[e.Declaration.Source.Repository] = true
			clusters[e.Declaration.Cluster] = true
		}
	}
	s.Repositories = keep(s.Repositories, before.Repositories, repositories, func(r Repository) string { return r.Name })
	s.Clusters = keep(s.Clusters, before.Clusters, clusters, func(c Cluster) string { return c.Name })
}

func keep[T any](now, before []T, needed map[string]bool, name func(T) string) []T {
	kept := slices.Clone(now)
	declared := map[string]bool{}
	for _, one := range now {
		declared[name(one)] = true
	}
	for _, one := range before {
		if needed[name(one)] && !declared[name(one)] {
			kept = append(kept, one)
		}
	}
	slices.SortFunc(kept, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return kept
}

// link writes into each declaration what follows from others: the URL of its
// repository and the recipient of its cluster. Both hold for held ones too:
// they are declared on their own.
func (s *State) link(localRecipient string) {
	urls, recipients := map[string]string{}, map[string]string{LocalCluster: localRecipient}
	for _, r := range s.Repositories {
		urls[r.Name] = r.URL
	}
	for _, c := range s.Clusters {
		recipients[c.Name] = c.Recipient
	}
	for i := range s.Applications {
		e := &s.Applications[i]
		if e.Declaration == nil {
			continue
		}
		d := *e.Declaration // previous keeps its own
		if url, known := urls[d.Source.Repository]; known {
			d.Source.URL = url
		}
		d.Recipient = recipients[d.Cluster]
		e.Declaration = &d
	}
}

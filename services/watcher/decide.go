// SPDX-License-Identifier: Apache-2.0

package watcher

// What made a revision (events.Revision.Cause).
const (
	causeCommit      = "commit"
	causeDeclaration = "declaration"
	causeLog         = "log"
)

// published is the last commit.observed of an application.
type published struct {
	stored      uint64 // its sequence in the log
	epoch       string // the life of the log in which it was published
	repository  string
	ref         string
	commit      string
	digest      string // of the declaration
	fleetCommit string
}

// sighting is what is known of one application when its repository was
// listed.
type sighting struct {
	epoch      string     // of the log now
	last       *published // nil: this log has none
	repository string
	ref        string
	tip        string // commit; empty: the ref is gone
	digest     string // of the declaration
	// descends says that last.commit is in the history of the tip.
	descends bool
	// confirmed says that a second listing, made after last was read, showed
	// the same.
	confirmed bool
	// fleetBehind says that the declaration comes from a fleet commit that
	// has last.fleetCommit not in its history, and that the fleet was not
	// listed again since: another watcher may have seen more of it.
	fleetBehind bool
	// reentered says that the application was not declared for a while after
	// last.
	reentered bool
	// remembered says that it was published to an earlier life of the log.
	remembered bool
	// rejected says that the tip can't be said: it was rejected.
	rejected bool
	// outcome is what became of last, bundled that some revision of this life of
	// the log was rendered. Neither is known where the tip is known to have been.
	outcome outcome
	bundled bool
	// past says that a revision is known that was said before the tip, may be
	// rendered, and was not tried in this life of the log.
	past bool
	// revived says that last was said for being that, and waited that its outcome
	// was waited for long enough.
	revived bool
	waited  bool
}

// said says that the application has a revision in this life of the log.
func (s sighting) said() bool { return s.last != nil && s.last.epoch == s.epoch }

// declared says that the application was declared otherwise, or again, since last.
func (s sighting) declared() bool {
	return s.last != nil && (s.last.digest != s.digest || s.reentered)
}

// lost says that this life of the log holds no bundle, and won't by the tip: what
// is in force is to be said again.
func (s sighting) lost() bool {
	unsayable := s.tip == "" || s.rejected
	switch {
	case !s.past || s.bundled:
		return false
	case !s.said():
		return unsayable
	case s.outcome != broken:
		return false
	}
	return unsayable || s.last.commit == s.tip && s.last.digest == s.digest && !s.reentered
}

// action is what to do about a sighting.
type action int

const (
	nothing        action = iota
	keepLast              // the ref is gone: the last good state stays
	listAgain             // the tip may be stale: another watcher published what it lacks
	readFleetAgain        // the declaration may be stale
	await                 // what is in force was said again, and has no outcome yet
	publish               // the tip
	revive                // the revision before the tip that may be in force
)

// verdict is what was decided.
type verdict struct {
	action   action
	cause    string
	forced   bool   // history was rewritten
	previous string // commit of the revision before
	expect   uint64 // stored sequence of the event before; 0: none
}

// decide says whether a sighting is a new revision. It is pure.
func decide(s sighting) verdict {
	if s.lost() {
		v := verdict{action: revive, cause: causeLog}
		if s.last != nil {
			v.previous, v.expect = s.last.commit, s.last.stored
		}
		return v
	}
	if s.tip == "" {
		return verdict{action: keepLast}
	}
	if s.last == nil {
		if s.remembered {
			return verdict{action: publish, cause: causeLog}
		}
		return verdict{action: publish, cause: causeDeclaration}
	}
	sameRef := s.last.repository == s.repository && s.last.ref == s.ref
	moved := s.last.commit != s.tip
	declared := s.declared()
	restored := s.last.epoch != s.epoch
	if !moved && !declared && !restored {
		return verdict{action: nothing}
	}
	if s.revived && s.outcome == pending && !s.waited {
		return verdict{action: await}
	}
	if sameRef && moved && !s.descends && !s.confirmed {
		return verdict{action: listAgain}
	}
	if s.last.digest != s.digest && s.fleetBehind {
		return verdict{action: readFleetAgain}
	}
	v := verdict{action: publish, cause: causeDeclaration, previous: s.last.commit, expect: s.last.stored}
	switch {
	case restored, s.revived && !declared:
		v.cause = causeLog
	case sameRef && moved:
		v.cause = causeCommit
	}
	v.forced = sameRef && moved && !s.descends
	return v
}

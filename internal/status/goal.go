// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// Goal is what somebody waits for. An application on several clusters reaches
// it when it does on each of them.
type Goal struct {
	Application string
	For         Aim
	// Commit, an id or a prefix of one, asks for that commit or a later
	// revision; empty asks for the newest that is known.
	Commit string
}

// Aim is what a [Goal] is for.
type Aim string

// The aims.
const (
	ForConverged Aim = "converged"
	ForFailed    Aim = "failed"
	ForHeld      Aim = "held"
	ForDiverged  Aim = "diverged"
	ForResolved  Aim = "resolved"
)

// Aims are all of them.
var Aims = []Aim{ForConverged, ForFailed, ForHeld, ForDiverged, ForResolved}

// Outcome is how a [Goal] stands.
type Outcome int

// The outcomes.
const (
	Waiting  Outcome = iota // not yet
	Met                     // reached
	Opposite                // the commit has ended the other way
)

// Look tells how the goal stands in v and says why in words.
func (g Goal) Look(v *View) (Outcome, string) {
	all := v.Of(g.Application)
	if len(all) == 0 {
		return Waiting, fmt.Sprintf("nothing is known of an application %q yet", g.Application)
	}
	var said []string
	met := 0
	for _, s := range all {
		if s.State == Withdrawn && len(all) > 1 {
			met++ // it has moved to another cluster
			continue
		}
		if why, refused := g.refused(s, v); refused {
			return Opposite, why
		}
		outcome, why := g.one(s, v.applications[where{s.Cluster, s.Application}])
		if outcome == Opposite {
			return Opposite, why
		}
		if outcome == Met {
			met++
		}
		said = append(said, why)
	}
	if met < len(all) {
		return Waiting, strings.Join(said, "; ")
	}
	return Met, strings.Join(said, "; ")
}

func (g Goal) one(s Status, f *facts) (Outcome, string) {
	note := ""
	if g.Commit != "" {
		stored, seen := f.observedAt(g.Commit)
		if !seen {
			return Waiting, fmt.Sprintf("commit %s is not observed yet; the newest is %s", Short(g.Commit), or(Short(s.Commit), "none"))
		}
		if outcome, why, ended := g.ended(s, f); ended {
			return outcome, why
		}
		if s.revision > stored && !strings.HasPrefix(s.Commit, g.Commit) {
			note = fmt.Sprintf(", which is newer than %s", Short(g.Commit))
		}
	}
	if g.reached(s) {
		return Met, fmt.Sprintf("%s is %s at %s%s%s", s.Application, g.words(s), Short(s.Commit), note, because(s))
	}
	return Waiting, fmt.Sprintf("%s is %s at %s%s", s.Application, s.State, or(Short(s.Commit), "no commit"), because(s))
}

// refused reports whether the very commit that is waited for, of a repository
// that holds the declarations too, makes the application's invalid.
func (g Goal) refused(s Status, v *View) (why string, refused bool) {
	p, ok := v.refusal(s).Data.(*events.FleetRejected)
	if !ok || g.For != ForConverged || g.Commit == "" || !strings.HasPrefix(p.Commit, g.Commit) {
		return "", false
	}
	return fmt.Sprintf("the declaration of %s is invalid at %s: %s", s.Application, Short(p.Commit), problem(p)), true
}

func (g Goal) reached(s Status) bool {
	switch g.For {
	case ForConverged:
		if g.Commit != "" {
			return s.pipeline == Converged
		}
		return s.State == Converged // who names no commit asks for the newest there is, and it is known
	case ForFailed:
		return s.pipeline == Failed
	case ForHeld:
		return s.State == Held
	case ForDiverged:
		return s.OpenDivergences > 0
	case ForResolved:
		return s.OpenDivergences == 0
	}
	return false
}

// ended looks at what became of the very commit that is waited for, where
// that can't be read off the newest revision, or decides the matter.
func (g Goal) ended(s Status, f *facts) (Outcome, string, bool) {
	if g.For != ForConverged && g.For != ForFailed {
		return Waiting, "", false
	}
	isNewest := strings.HasPrefix(s.Commit, g.Commit)
	for commit, e := range f.failures {
		if !strings.HasPrefix(commit, g.Commit) || isNewest && s.pipeline != Failed {
			continue // another's failure, or one that is being mended
		}
		message := failureOf(e)
		if g.For == ForFailed {
			return Met, fmt.Sprintf("%s failed at %s: %s", s.Application, Short(commit), message), true
		}
		if isNewest {
			return Opposite, fmt.Sprintf("%s failed at %s: %s", s.Application, Short(commit), message), true
		}
	}
	if g.For == ForFailed && isNewest && s.pipeline == Converged {
		return Opposite, fmt.Sprintf("%s converged at %s", s.Application, Short(s.Commit)), true
	}
	return Waiting, "", false
}

// observedAt is where the last commit with that id or prefix is stored.
func (f *facts) observedAt(commit string) (stored uint64, seen bool) {
	if f == nil {
		return 0, false
	}
	for c, n := range f.commits {
		if strings.HasPrefix(c, commit) {
			stored, seen = max(stored, n), true
		}
	}
	return stored, seen
}

func (g Goal) words(s Status) string {
	switch g.For {
	case ForDiverged:
		if s.OpenDivergences == 1 {
			return "diverged"
		}
		return fmt.Sprintf("diverged %d times", s.OpenDivergences)
	case ForResolved:
		return "without an open divergence"
	}
	return string(g.For)
}

func because(s Status) string {
	if s.Message == "" {
		return ""
	}
	return ": " + s.Message
}

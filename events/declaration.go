// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"fmt"
	"time"
)

// Declaration is one application as the fleet declares it, every default
// filled in. It travels whole in each commit.observed.
type Declaration struct {
	Application     string      `json:"application"` // its name in the fleet
	Source          SourceSpec  `json:"source"`
	Cluster         string      `json:"cluster"`                   // that it converges to
	Namespace       string      `json:"namespace,omitempty"`       // for namespaced objects that name none
	CreateNamespace bool        `json:"createNamespace,omitempty"` // whether Namespace is created where it is missing
	Converge        Convergence `json:"converge"`
	Deletion        Deletion    `json:"deletion"`
	Audit           Audit       `json:"audit"`
	// Recipient is the age recipient of the cluster: to it plaintext Secrets
	// are sealed.
	Recipient string `json:"recipient,omitempty"`
	// File and Line are where the fleet declares it.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // 1-based; 0: unknown
}

// SourceSpec says what of which repository an application is made of:
// exactly one of Branch, Tag and Commit is set.
type SourceSpec struct {
	Repository string `json:"repository"`       // its name in the fleet
	URL        string `json:"url,omitempty"`    // of the repository, without credentials
	Branch     string `json:"branch,omitempty"` // to follow
	Tag        string `json:"tag,omitempty"`    // to follow
	Commit     string `json:"commit,omitempty"` // to stay at: its full object id
	Path       string `json:"path"`             // slash-separated, relative to the root of the tree; "." is the root
}

// Ref is the fully qualified ref to follow, or the id of the commit to stay at.
func (s SourceSpec) Ref() string {
	switch {
	case s.Commit != "":
		return s.Commit
	case s.Tag != "":
		return "refs/tags/" + s.Tag
	}
	return "refs/heads/" + s.Branch
}

// Convergence is the policy of writing.
type Convergence struct {
	Mode    Mode     `json:"mode"`
	Prune   bool     `json:"prune"`   // whether objects that are no longer in Git are deleted
	Timeout Duration `json:"timeout"` // how long a revision may take to become healthy
}

// Mode says whether an application is written to its cluster.
type Mode string

const (
	// ModeAuto writes what is approved in Git.
	ModeAuto Mode = "auto"
	// ModeObserve renders and audits, and never writes.
	ModeObserve Mode = "observe"
)

// Deletion says what becomes of an application's objects when it is no longer
// declared.
type Deletion string

const (
	DeletionDelete Deletion = "delete" // they are deleted
	DeletionOrphan Deletion = "orphan" // they stay
)

// Audit is the policy of comparing.
type Audit struct {
	Heal       bool         `json:"heal"`       // whether a divergence is healed
	AlertAfter Duration     `json:"alertAfter"` // how long a divergence may last before it is alerted
	Ignore     []IgnoreRule `json:"ignore,omitempty"`
}

// IgnoreRule takes a part of some objects out of audit and, once another
// manager owns it, out of what is applied.
type IgnoreRule struct {
	Group string `json:"group,omitempty"` // empty matches every group
	Kind  string `json:"kind"`            // of the objects
	Name  string `json:"name,omitempty"`  // empty matches every name
	Path  string `json:"path"`            // JSON pointer (RFC 6901) of the field
}

// Duration is a time.Duration that is written as in Go: "2m0s".
type Duration time.Duration

// Std is d as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes d as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what time.ParseDuration reads.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if n := len(b); n > 1 && b[0] == '"' && b[n-1] == '"' { // nothing is escaped, most often
		if parsed, err := time.ParseDuration(string(b[1 : n-1])); err == nil {
			*d = Duration(parsed)
			return nil
		}
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

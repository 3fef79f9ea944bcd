// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Divergence is a difference between Git and live.
type Divergence struct {
	// Key is the last token of its subject: one per application and object,
	// whatever happens to it.
	Key string `json:"key"`
	// Kind: changed | removed (a field) | deleted (the object) | missing |
	// intruded (another writer under our manager's name) | stalled (a
	// revision not converged in time).
	Kind   DivergenceKind `json:"kind"`
	Object *Object        `json:"object,omitempty"` // nil for a stalled revision
	Since  time.Time      `json:"since"`            // when it was first seen
	// ResourceVersion is where in the cluster's history it was seen: that of
	// the live object, or of its end, as far as that is known.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Digest is that of Git's bundle; Revision the one that it came from.
	Digest   string   `json:"digest"`
	Revision Revision `json:"revision"`
	// Fields are the differing fields, at most [MaxInline] of them; FieldCount
	// counts them all.
	Fields     []FieldDifference `json:"fields,omitempty"`
	FieldCount int               `json:"fieldCount,omitempty"` // how many fields differ
	// Writer is who the API server recorded; nil: it recorded no writer, as
	// for everything that is absent.
	Writer *Writer `json:"writer,omitempty"`
	// File and Line declare the object; Declared is the revision in which its
	// digest last changed.
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"` // where the object begins in File, 1-based; 0: unknown
	Declared Change `json:"declared"`
	// Heal says whether the policy heals it.
	Heal    bool   `json:"heal"`
	Message string `json:"message"` // for people
}

// DivergenceKind classifies a divergence.
type DivergenceKind string

const (
	DivergenceChanged  DivergenceKind = "changed"
	DivergenceRemoved  DivergenceKind = "removed"
	DivergenceDeleted  DivergenceKind = "deleted"
	DivergenceMissing  DivergenceKind = "missing"
	DivergenceIntruded DivergenceKind = "intruded"
	DivergenceStalled  DivergenceKind = "stalled"
)

// FieldDifference is one field that differs. Values are JSON, cut at 256
// bytes, and absent where Redacted.
type FieldDifference struct {
	Path     string `json:"path"`               // JSON pointer (RFC 6901)
	Desired  string `json:"desired,omitempty"`  // as Git declares it; empty: Git says nothing
	Live     string `json:"live,omitempty"`     // empty: absent
	Redacted bool   `json:"redacted,omitempty"` // of a Secret: its values are never told
}

// Writer is what the API server recorded of a write: it knows managers, not
// people.
type Writer struct {
	Manager     string `json:"manager"`
	Operation   string `json:"operation"` // Apply | Update
	Subresource string `json:"subresource,omitempty"`
	// Time is in whole seconds; absent where the API server recorded none, as
	// for the scale subresource.
	Time time.Time `json:"time,omitzero"`
}

// DivergenceDetected says that live differs from Git.
type DivergenceDetected struct {
	Divergence
}

// DivergencePersisted says that a divergence is older than alertAfter.
type DivergencePersisted struct {
	Divergence
	After Duration `json:"after"` // how long it has lasted
}

// DivergenceResolved says that a divergence is gone.
type DivergenceResolved struct {
	Divergence
	After Duration `json:"after"` // how long it lasted
	// How: healed (by the applier) | reverted (by someone else) | declared
	// (Git agrees now) | ignored (a rule covers it) | withdrawn | reported (a
	// stalled revision failed after all, or is held, and an event says why).
	How string `json:"how"`
	// Persisted says whether it was alerted.
	Persisted bool `json:"persisted"`
}

func (*DivergenceDetected) payload()  {}
func (*DivergencePersisted) payload() {}
func (*DivergenceResolved) payload()  {}

// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Revision is one commit of a source as it concerns one application.
type Revision struct {
	Commit    string    `json:"commit"` // full object id
	Tree      string    `json:"tree"`   // id of the root tree
	Ref       string    `json:"ref"`    // fully qualified: refs/heads/main
	Author    Person    `json:"author"`
	Committer Person    `json:"committer"`
	Title     string    `json:"title"` // first line of the message, cut at 120 runes
	Signature Signature `json:"signature"`
	Previous  string    `json:"previous,omitempty"` // the commit of the revision before it
	Forced    bool      `json:"forced,omitempty"`   // history was rewritten: Previous is no ancestor
	Cause     string    `json:"cause"`              // what made it a revision: commit | declaration | log (published again into a new log)
	Trigger   string    `json:"trigger"`            // who saw it: poll | webhook | sync | start
}

// Person is an author or committer as the commit records it: a claim, not a
// proof, unless the signature says so.
type Person struct {
	Name  string    `json:"name"`
	Email string    `json:"email,omitempty"`
	When  time.Time `json:"when"`
}

// CommitTime is a time of a commit as an event can tell it. Git lets a commit
// claim any date and offset; what RFC 3339 has no words for becomes UTC, and
// a year that it has none for the zero time.
func CommitTime(t time.Time) time.Time {
	if !writable(t) || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	if _, offset := t.Zone(); offset <= -24*3600 || offset >= 24*3600 || offset%60 != 0 {
		return t.UTC()
	}
	return t
}

// Signature is the verdict over a commit's signature.
type Signature struct {
	Verdict string `json:"verdict"`          // unsigned | unverified | verified
	Signer  string `json:"signer,omitempty"` // only where verified
}

// Blob names a body in the blob stream.
type Blob struct {
	Name   string `json:"name"`   // the subject of its chunks, without the chunk's number
	Digest string `json:"digest"` // sha256:<hex> of its bytes
	Size   int64  `json:"size"`   // in bytes
	Chunks int    `json:"chunks"` // messages that it is cut into
}

// Object names one object of a cluster.
type Object struct {
	Group     string `json:"group,omitempty"` // empty: the core group
	Version   string `json:"version"`         // of the API that it is written in
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"` // empty: it is cluster-scoped
	Name      string `json:"name"`
}

// String is kind[.group]/[namespace/]name, as kubectl writes it.
func (o Object) String() string {
	s := o.Kind
	if o.Group != "" {
		s += "." + o.Group
	}
	if o.Namespace != "" {
		s += "/" + o.Namespace
	}
	return s + "/" + o.Name
}

// Key identifies the object whatever version it is written in:
// group/kind/namespace/name.
func (o Object) Key() string {
	return o.Group + "/" + o.Kind + "/" + o.Namespace + "/" + o.Name
}

// MaxInline is how many entries of a list an event carries itself; a longer
// list is a blob.
const MaxInline = 50

// DeclaredObject is an object of a bundle and where in Git it comes from.
type DeclaredObject struct {
	Object
	Digest string `json:"digest"` // the object digest, sha256:<hex>
	File   string `json:"file"`   // relative to the root of the tree
	Line   int    `json:"line"`   // 1-based
	Since  Change `json:"since"`
}

// Change is the revision in which an object's digest last changed.
type Change struct {
	Commit   string    `json:"commit"`             // full object id
	Author   string    `json:"author"`             // of the commit, by name
	When     time.Time `json:"when"`               // the author's date
	Sequence uint64    `json:"sequence,omitempty"` // of the revision
}

// DeclaredObjects is a list of [DeclaredObject]; past [MaxInline] the list is
// a JSON array in Blob and Items is empty.
type DeclaredObjects struct {
	Count int              `json:"count"` // how many objects there are
	Items []DeclaredObject `json:"items,omitempty"`
	Blob  *Blob            `json:"blob,omitempty"`
}

// AppliedObject is what the applier did to one object and learnt from the
// API server's answer.
type AppliedObject struct {
	Object
	Action Action `json:"action"`
	Digest string `json:"digest,omitempty"` // the object digest that was applied
	UID    string `json:"uid,omitempty"`    // as the API server gave it
	// Fields is the sha256 of our managedFields entry's fieldsV1 as the API
	// server returned it.
	Fields string `json:"fields,omitempty"`
	// ResourceVersion is what the write came to; empty: it was not written.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Left lists the ignored fields (JSON pointers) that were left out.
	Left []string `json:"left,omitempty"`
}

// Action is what was done to an object.
type Action string

const (
	ActionCreated    Action = "created"
	ActionConfigured Action = "configured"
	ActionAdopted    Action = "adopted" // existed, and nobody owned it
	ActionUnchanged  Action = "unchanged"
	ActionPruned     Action = "pruned"
	ActionPassed     Action = "passed"   // another declared application claims it now
	ActionOrphaned   Action = "orphaned" // left in the cluster, no longer ours
	ActionHeld       Action = "held"
)

// AppliedObjects is a list of [AppliedObject]; past [MaxInline] the list is a
// JSON array in Blob and Items is empty.
type AppliedObjects struct {
	Count int             `json:"count"`
	Items []AppliedObject `json:"items,omitempty"`
	Blob  *Blob           `json:"blob,omitempty"`
}

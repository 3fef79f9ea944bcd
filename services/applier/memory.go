// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Entry is what an application's inventory knows of one object.
type Entry struct {
	events.Object
	// Digest, UID and Fields are what was applied and what the API server
	// returned: the object digest, the uid, and the sha256 of our
	// managedFields entry. All empty: the inventory was widened by the object
	// before it was written, or it is to be written again whatever it shows.
	Digest string `json:"digest,omitempty"`
	UID    string `json:"uid,omitempty"`
	Fields string `json:"fields,omitempty"`
	// Left are the ignored fields (JSON pointers) that were left out.
	Left []string `json:"left,omitempty"`
	// Held says that a guard stands before its deletion; it stays until the
	// object is declared again, or Released is the digest of the bundle that
	// lacks it: an approval.
	Held     bool   `json:"held,omitempty"`
	Released string `json:"released,omitempty"`
	// Awaiting says that its deletion waits until it is known whether another
	// application declares it now, and that people were told so. Waived is the
	// digest of the bundle for which an approval lets it go all the same.
	Awaiting bool   `json:"awaiting,omitempty"`
	Waived   string `json:"waived,omitempty"`
	// Offered is the application that declares it now, and may take it: it is
	// kept here until it has, so that it is nobody's at no time.
	Offered string `json:"offered,omitempty"`
}

// equal reports whether two entries say the same.
func (e Entry) equal(other Entry) bool {
	return e.Object == other.Object && e.Digest == other.Digest && e.UID == other.UID && e.Fields == other.Fields &&
		slices.Equal(e.Left, other.Left) && e.Held == other.Held && e.Released == other.Released &&
		e.Awaiting == other.Awaiting && e.Waived == other.Waived && e.Offered == other.Offered
}

// Memory is everything that the decision knows of the past.
type Memory struct {
	Fence   Fence
	Entries map[string]Entry // by object key
	// Forgotten are the objects to write whatever they show: a divergence of
	// them was reported.
	Forgotten map[string]bool
	// Contended are the objects that someone else keeps writing, and until
	// when they are left alone.
	Contended map[string]time.Time
}

// Live is one object as the cluster has it, from its metadata.
type Live struct {
	UID             string
	ResourceVersion string
	// Owner is the application that the object belongs to: the one that its
	// label names, unless that has lost its claim. Empty: nobody.
	Owner string
	// Digest is the annotation plumbline.dev/object; Fields the sha256 of our
	// managedFields entry, empty where there is none.
	Digest, Fields string
	Deleting       bool
	// Others are what other managers own of it.
	Others []Ownership
}

// Ownership is one manager's entry in managedFields.
type Ownership struct {
	Manager string
	Fields  []byte // fieldsV1, JSON
}

// Desired is an application as one revision declares it.
type Desired struct {
	Application string
	Order       events.Order
	Digest      string // of the bundle
	Declaration string // digest of the application's declaration
	// Complete says that Objects is the whole of a bundle whose digest was
	// verified.
	Complete bool
	Objects  []Target
}

// Target is one declared object.
type Target struct {
	events.Object        // its scope resolved: Namespace is where it goes
	Digest        string // the object digest
	File          string
	Line          int
	// Ignored are the ignored fields that it declares (JSON pointers).
	Ignored []string
	// Body is the object as the bundle has it, sealed values sealed.
	Body map[string]any
}

// Policy is what an application's declaration says of writing.
type Policy struct {
	Prune bool
	// Heal says whether an object that someone else changed is written again
	// although Git declares the same as before.
	Heal bool
	// Claimed are objects of this application's inventory that another
	// declared application declares now: object key to that application.
	Claimed map[string]string
	// Observers are applications that claim and write nothing: what is theirs
	// is let go, and nobody takes it.
	Observers map[string]bool
	// Awaited is the application that has to be known before anything is
	// deleted; nil: all are.
	Awaited *Awaited
}

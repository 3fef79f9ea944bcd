// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// Ours reports whether e records what Plumbline applies. An entry of our
// manager with the operation Update isn't ours: it holds what an admission
// webhook changed while we applied, or what someone wrote under our name.
func Ours(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == manifest.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// Owners are the entries of one object's managedFields with their sets of
// paths; all but those of the status subresource.
type Owners []Owner

// Owner is one entry.
type Owner struct {
	events.Writer
	Ours bool // it records what Plumbline applies
	Set  *fieldpath.Set
}

// OwnersOf reads managedFields. An entry that can't be read is left out: what
// it owned then looks unowned, and is compared.
func OwnersOf(entries []metav1.ManagedFieldsEntry) Owners {
	var out Owners
	for _, e := range entries {
		if e.Subresource == "status" {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(Raw(e))); err != nil {
			continue
		}
		out = append(out, Owner{
			Writer: events.Writer{Manager: e.Manager, Operation: string(e.Operation), Subresource: e.Subresource, Time: Stamp(e)},
			Ours:   Ours(e), Set: set,
		})
	}
	return out
}

// ourSet is what we own; nil if we have no entry.
func (o Owners) ourSet() *fieldpath.Set {
	var set *fieldpath.Set
	for _, owner := range o {
		if !owner.Ours {
			continue
		}
		if set == nil {
			set = owner.Set
		} else {
			set = set.Union(owner.Set)
		}
	}
	return set
}

// writer is the last recorded foreign writer of a path, nil if there is none.
func (o Owners) writer(p fieldpath.Path) *events.Writer {
	var last *events.Writer
	for i := range o {
		if o[i].Ours || !covers(o[i].Set, p) {
			continue
		}
		if last == nil || o[i].Time.After(last.Time) {
			last = &o[i].Writer
		}
	}
	return last
}

// our is our own entry as a writer, nil if there is none.
func (o Owners) our() *events.Writer {
	for i := range o {
		if o[i].Ours {
			return &o[i].Writer
		}
	}
	return nil
}

// covers reports whether set has the path, something below it, or an atomic
// value above it.
func covers(set *fieldpath.Set, p fieldpath.Path) bool {
	if set == nil {
		return false
	}
	for _, element := range p {
		child := set.WithPrefix(element)
		if child.Empty() {
			return set.Members.Has(element)
		}
		set = child
	}
	return true
}

// Raw is the fieldsV1 of an entry, nil where it has none.
func Raw(e metav1.ManagedFieldsEntry) []byte {
	if e.FieldsV1 == nil {
		return nil
	}
	return e.FieldsV1.GetRawBytes()
}

// Stamp is when an entry was last written; zero where that is not recorded.
func Stamp(e metav1.ManagedFieldsEntry) time.Time {
	if e.Time == nil {
		return time.Time{}
	}
	return e.Time.UTC()
}

// HashFields is the sha256 of an entry's fieldsV1 as structured-merge-diff writes
// it: what a convergence.applied tells of each object.
func HashFields(raw []byte) string {
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(raw)); err != nil {
		return sum(raw)
	}
	canonical, err := set.ToJSON()
	if err != nil {
		return sum(raw)
	}
	return sum(canonical)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// Fields is [HashFields] of our own entry; empty where there is none.
func Fields(entries []metav1.ManagedFieldsEntry) string {
	for _, e := range entries {
		if Ours(e) {
			return HashFields(Raw(e))
		}
	}
	return ""
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// Meta is what the auditor keeps of a live object: its metadata, reduced to
// what can tell a foreign write.
type Meta struct {
	UID, ResourceVersion string
	Generation           int64
	Application          string // the label plumbline.dev/application
	Digest               string // the annotation plumbline.dev/object
	Ours                 Entry  // what manager plumbline applied; zero: no entry
	Others               string // hash of every other entry but those of status
	Surface              string // hash of labels and annotations
	All                  string // hash of all of managedFields, times included
	Deleting             bool   // it has a deletionTimestamp
	// Annotated says that our entry owns the annotation: what it says was
	// written under our name.
	Annotated bool
}

// Entry is our entry of managedFields.
type Entry struct {
	Fields string    // sha256:<hex> of the entry's fieldsV1, as structured-merge-diff writes it
	Time   time.Time // whole seconds
}

// metaOf reads the metadata of a live object.
func metaOf(o metav1.Object) Meta {
	m := Meta{
		UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration(),
		Application: o.GetLabels()[manifest.LabelApplication],
		Digest:      o.GetAnnotations()[manifest.AnnotationObject],
		Surface:     surface(o.GetLabels(), o.GetAnnotations()),
		Deleting:    o.GetDeletionTimestamp() != nil,
	}
	others, all := sha256.New(), sha256.New()
	for _, e := range o.GetManagedFields() {
		line := fmt.Sprintf("%q %q %q %s %s\n", e.Manager, e.Operation, e.Subresource, compare.Stamp(e).Format(time.RFC3339), compare.Raw(e))
		all.Write([]byte(line))
		switch {
		case compare.Ours(e):
			raw := compare.Raw(e)
			m.Annotated = annotated(raw)
			m.Ours = Entry{Fields: compare.HashFields(raw), Time: compare.Stamp(e)}
		case e.Subresource != "status":
			others.Write([]byte(line))
		}
	}
	m.Others, m.All = hex.EncodeToString(others.Sum(nil)[:12]), hex.EncodeToString(all.Sum(nil)[:12])
	return m
}

// Signature changes whenever a field that Git declares may have changed
// without our entry showing it.
func (m Meta) Signature() string {
	return strings.Join([]string{m.UID, m.Application, m.Digest, m.Ours.Fields, m.Ours.Time.Format(time.RFC3339), m.Others, m.Surface}, " ")
}

// nextDoubt counts the writes since an object came, or got its digest, that
// may have changed values under our own name. fieldsV1 holds no values and its
// time is whole seconds, so such a write shows as a change or a later time of
// our entry, or, in the same second, as a new resourceVersion that nothing in
// the metadata explains. A status write looks like the latter where it is its
// writer's second within a second; metadata.generation tells them apart for
// the kinds that have one. A write that changes the digest leaves no doubt:
// its hash is compared with what the applier learnt of that digest.
func nextDoubt(doubt int, was, is Meta) int {
	switch {
	case was.UID == "":
		return 0
	case is.UID != was.UID:
		return 1
	case is.ResourceVersion == was.ResourceVersion:
		return doubt
	case is.Digest != was.Digest:
		return 0
	case is.Ours.Fields != was.Ours.Fields || !is.Ours.Time.Equal(was.Ours.Time):
		return doubt + 1
	case is.All != was.All || is.Surface != was.Surface:
		return doubt
	case is.Generation == 0 || is.Generation != was.Generation:
		return doubt + 1
	}
	return doubt
}

// sameFields reports whether hash, as the applier learnt it, is that of e.
func (e Entry) sameFields(hash string) bool { return hash != "" && hash == e.Fields }

var annotationPath = fieldpath.MakePathOrDie("metadata", "annotations", manifest.AnnotationObject)

func annotated(raw []byte) bool {
	set := &fieldpath.Set{}
	return set.FromJSON(bytes.NewReader(raw)) == nil && set.Has(annotationPath)
}

func surface(labels, annotations map[string]string) string {
	h := sha256.New()
	for _, m := range []map[string]string{labels, annotations} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(h, "%q=%q\n", k, m[k])
		}
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// sighting is one object as the API server last showed it.
type sighting struct {
	events.Object
	Live
	Application string // its label
	Health      health
}

// sight reads what we keep of an object from its metadata.
func sight(o events.Object, m metav1.Object) sighting {
	s := sighting{Object: o, Application: m.GetLabels()[manifest.LabelApplication]}
	s.UID, s.ResourceVersion = string(m.GetUID()), m.GetResourceVersion()
	s.Digest = m.GetAnnotations()[manifest.AnnotationObject]
	s.Deleting = m.GetDeletionTimestamp() != nil
	for _, e := range m.GetManagedFields() {
		if e.FieldsV1 == nil {
			continue
		}
		raw := e.FieldsV1.GetRawBytes()
		if e.Manager == manifest.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			s.Fields = fieldsDigest(raw)
			continue
		}
		if e.Subresource != "status" {
			s.Others = append(s.Others, Ownership{Manager: e.Manager, Fields: raw})
		}
	}
	s.Health = health{Status: healthCurrent}
	if s.Deleting {
		s.Health = health{Status: healthProgressing, Message: "it is being deleted"}
	}
	return s
}

// fieldsDigest is sha256:<hex> of a fieldsV1 as structured-merge-diff writes
// it, which is how the API server sends it: a client that reads it as JSON may
// have put its keys into another order. Empty where it can't be read.
func fieldsDigest(raw []byte) string {
	var set fieldpath.Set
	if err := set.FromJSON(bytes.NewReader(raw)); err != nil {
		return ""
	}
	canonical, err := set.ToJSON()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// body is the request that writes a step's object: as declared, less the
// ignored fields that are left out, with our label and annotation, and with
// the uid and resourceVersion of what it expects to find. A sealed value is
// opened here, and nowhere sooner.
func (a *applier) body(s Step, application string) ([]byte, error) {
	declared := s.Target.Body
	if seal.IsSecret(declared) {
		opened, err := a.open(s.Object, declared)
		if err != nil {
			return nil, err
		}
		declared = opened
	}
	out := maps.Clone(without(declared, s.Left))
	meta := clone(out["metadata"])
	for _, field := range []string{"managedFields", "creationTimestamp", "generation", "uid", "resourceVersion"} {
		delete(meta, field)
	}
	delete(out, "status")
	labels, annotations := clone(meta["labels"]), clone(meta["annotations"])
	labels[manifest.LabelApplication] = application
	annotations[manifest.AnnotationObject] = s.Target.Digest
	meta["labels"], meta["annotations"] = labels, annotations
	if s.Namespace != "" {
		meta["namespace"] = s.Namespace
	}
	if s.UID != "" {
		meta["uid"], meta["resourceVersion"] = s.UID, s.ResourceVersion
	}
	out["metadata"] = meta
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", s.Object, err)
	}
	return data, nil
}

// clone copies a mapping; anything else gives an empty one.
func clone(v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return maps.Clone(m)
}

// open decrypts the sealed values of a Secret. Its error names the field and
// never a value.
func (a *applier) open(o events.Object, body map[string]any) (map[string]any, error) {
	if !hasSealed(body) {
		return body, nil
	}
	if a.identity == nil {
		return nil, &trouble{Reason: events.ReasonUnsealable, Message: fmt.Sprintf(
			"%s is sealed, and the applier has no key to open it: start it with --age-identity", o)}
	}
	opened, err := seal.OpenSecret(body, *a.identity)
	if err != nil {
		field := "a value"
		if f := new(seal.FieldError); errors.As(err, &f) {
			field = f.Field
		}
		return nil, &trouble{Reason: events.ReasonUnsealable, Err: err, Message: fmt.Sprintf(
			"%s of %s doesn't open with the applier's key: it was sealed to another recipient. See the recipient of the cluster's declaration", field, o)}
	}
	return opened, nil
}

func hasSealed(body map[string]any) bool {
	data, _ := body["data"].(map[string]any)
	for _, v := range data {
		if text, ok := v.(string); ok && seal.Sealed(text) {
			return true
		}
	}
	return false
}

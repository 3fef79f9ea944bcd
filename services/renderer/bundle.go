// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// assemble makes a bundle of what a child rendered. Its digests are final;
// its Secrets are plaintext still. A fault of the input is a *failure.
func assemble(objects []rendered, d events.Declaration, key seal.DigestKey) (manifest.Bundle, error) {
	b := manifest.Bundle{Namespace: d.Namespace}
	if len(objects) == 0 {
		return b, fail(events.ReasonNoObjects, d.Source.Path, 0, "the application renders to nothing: no .yaml, .yml or .json file in its folder, or no resource of its kustomization, declares an object. To remove everything of an application, remove its declaration from the fleet")
	}
	if len(objects) > manifest.MaxObjects {
		return b, fail(events.ReasonOutput, d.Source.Path, 0, "the application has %d objects; at most %d are taken. Split it into several", len(objects), manifest.MaxObjects)
	}
	objects, err := rename(objects, key)
	if err != nil {
		return b, err
	}
	for _, r := range objects {
		o, err := objectOf(r, d, key)
		if err != nil {
			return b, err
		}
		b.Objects = append(b.Objects, o)
	}
	manifest.Sort(b.Objects)
	if first, second, twice := manifest.Duplicate(b); twice {
		if second.File < first.File || second.File == first.File && second.Line < first.Line {
			first, second = second, first
		}
		f := fail(events.ReasonDuplicateObject, second.File, second.Line, "%s is declared here and at %s:%d; keep one of them", second.Object, first.File, first.Line)
		f.Object = &second.Object
		return b, f
	}
	return b, nil
}

func objectOf(r rendered, d events.Declaration, key seal.DigestKey) (manifest.Object, error) {
	body, err := manifest.DecodeBody(r.Body)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read what a render child made: %w", err)
	}
	id, err := manifest.Identify(body)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read what a render child made: %w", err)
	}
	o := manifest.Object{Object: id, File: r.File, Line: r.Line, Body: body}
	if misspelt(body) {
		return o, secretFailure(o, events.ReasonObjectInvalid, "has data and is no Secret that Kubernetes knows, so it would travel unsealed. Write apiVersion: v1 and kind: Secret")
	}
	if !seal.IsSecret(body) {
		o.Digest = manifest.Digest(body)
		return o, nil
	}
	if _, sops := body["sops"]; sops {
		return o, secretFailure(o, events.ReasonObjectInvalid, "is encrypted with SOPS, which Plumbline does not open. Take this Secret out of the application's path and put it into the cluster by other means")
	}
	if message := stray(body); message != "" {
		return o, secretFailure(o, events.ReasonObjectInvalid, message)
	}
	if d.Recipient == "" {
		return o, secretFailure(o, events.ReasonNoRecipient, "can't be sealed: cluster "+d.Cluster+" has no age recipient. Give it one: recipient in its kind: Cluster declaration, or the watcher's --local-recipient for cluster local")
	}
	blind, err := seal.BlindSecret(body, key)
	if err != nil {
		return o, unsealable(o, err)
	}
	o.Digest = manifest.Digest(blind)
	return o, nil
}

// misspelt reports whether an object was meant to be a Secret: what it holds is
// secret, whether or not an API server would take it.
func misspelt(body map[string]any) bool {
	kind, _ := body["kind"].(string)
	if seal.IsSecret(body) || !strings.EqualFold(kind, "Secret") {
		return false
	}
	return body["data"] != nil || body["stringData"] != nil
}

// Fields that a Secret and its metadata may have (core/v1 Secret, meta/v1
// ObjectMeta, as far as Git declares it).
var (
	secretFields   = []string{"apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData"}
	metadataFields = []string{"name", "namespace", "labels", "annotations", "finalizers"}
)

// stray says what is wrong with a Secret that holds something in another place
// than those that are sealed, or is empty. It quotes nothing: whoever misspells
// stringData has a password below it, and a name may be one.
func stray(body map[string]any) string {
	const unsealed = ", and what stands there would travel unsealed. Values belong below data or stringData"
	for name := range body {
		if !slices.Contains(secretFields, name) {
			return "has a field that no Secret has beside " + strings.Join(secretFields, ", ") + unsealed
		}
	}
	meta, _ := body["metadata"].(map[string]any)
	for name := range meta {
		if !slices.Contains(metadataFields, name) {
			return "has a field in its metadata beside " + strings.Join(metadataFields, ", ") + unsealed
		}
	}
	if _, is := body["type"].(string); body["type"] != nil && !is {
		return "has a type that is no string"
	}
	if _, is := body["immutable"].(bool); body["immutable"] != nil && !is {
		return "has an immutable that is neither true nor false"
	}
	return ""
}

// unsealable makes a failure of an error of package seal, which names a field
// and never a value.
func unsealable(o manifest.Object, err error) error {
	var bad *seal.FieldError
	if !errors.As(err, &bad) || bad.Err != nil {
		return err
	}
	return secretFailure(o, events.ReasonObjectInvalid, bad.Error())
}

func secretFailure(o manifest.Object, reason events.Reason, message string) *failure {
	f := fail(reason, o.File, o.Line, "%s: %s", o.Object, message)
	f.Object = &o.Object
	return f
}

// sealed is a copy of a bundle whose Secrets are sealed to a recipient. The
// digests stay.
func sealed(b manifest.Bundle, recipient string, key seal.DigestKey) (manifest.Bundle, error) {
	out := manifest.Bundle{Namespace: b.Namespace, Objects: make([]manifest.Object, 0, len(b.Objects))}
	for _, o := range b.Objects {
		if seal.IsSecret(o.Body) {
			to, err := seal.ParseRecipient(recipient)
			if err != nil {
				return out, secretFailure(o, events.ReasonNoRecipient, "can't be sealed: "+err.Error())
			}
			if o.Body, err = seal.SealSecret(o.Body, to, key); err != nil {
				return out, unsealable(o, err)
			}
		}
		out.Objects = append(out.Objects, o)
	}
	return out, nil
}

// declared lists a bundle's objects as events do, without since.
func declared(b manifest.Bundle) []events.DeclaredObject {
	out := make([]events.DeclaredObject, 0, len(b.Objects))
	for _, o := range b.Objects {
		out = append(out, events.DeclaredObject{Object: o.Object, Digest: o.Digest, File: printable(o.File, maxFile), Line: o.Line})
	}
	return out
}

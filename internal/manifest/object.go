// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// What Plumbline writes on every object that it applies.
const (
	LabelApplication = "plumbline.dev/application" // the application that owns the object
	AnnotationObject = "plumbline.dev/object"      // the object digest
	FieldManager     = "plumbline"
)

// Object is one declared object.
type Object struct {
	events.Object
	Digest string        // the object digest, sha256:<hex>; empty until it is computed
	File   string        // slash-separated, relative to the root of the tree
	Line   int           // 1-based
	Since  events.Change // the revision in which the digest last changed
	Body   map[string]any
}

// Declared is o as events list it.
func (o Object) Declared() events.DeclaredObject {
	return events.DeclaredObject{Object: o.Object, Digest: o.Digest, File: o.File, Line: o.Line, Since: o.Since}
}

// Identify reads the identity of an object from its body. Its error is an
// [*Error] without file and line.
func Identify(body map[string]any) (events.Object, error) {
	var o events.Object
	apiVersion, _ := body["apiVersion"].(string)
	kind, _ := body["kind"].(string)
	if apiVersion == "" || kind == "" {
		missing := "kind"
		if apiVersion == "" {
			missing = "apiVersion"
		}
		return o, invalid(nil, "the object has no %s. If the file holds no Kubernetes object, move it out of the application's path or give it another extension than .yaml, .yml or .json", missing)
	}
	o.Version = apiVersion
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		// "/v1" would be v1 to the API server and something else to who
		// looks for Secrets.
		if group == "" || version == "" {
			return o, invalid(nil, "apiVersion is neither a version nor a group/version")
		}
		o.Group, o.Version = group, version
	}
	o.Kind = kind
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		return o, invalid(&o, "the %s has no metadata; give it metadata.name", printable(kind))
	}
	for field, to := range map[string]*string{"name": &o.Name, "namespace": &o.Namespace} {
		value, ok := meta[field].(string)
		if !ok && meta[field] != nil {
			return o, invalid(&o, "metadata.%s of the %s is no string; put it in quotes", field, printable(kind))
		}
		*to = value
	}
	if o.Name == "" {
		if meta["generateName"] != nil {
			return o, invalid(&o, "the %s has a generateName and no name: each apply would create one more. Give it metadata.name", printable(kind))
		}
		return o, invalid(&o, "the %s has no name; give it metadata.name", printable(kind))
	}
	return o, wellFormed(o)
}

// wellFormed refuses what no API server takes and what would break a key, a
// path of a request or a line of a log.
func wellFormed(o events.Object) error {
	for _, part := range []struct{ field, value string }{
		{"apiVersion", o.Group},
		{"apiVersion", o.Version},
		{"kind", o.Kind},
		{"metadata.namespace", o.Namespace},
		{"metadata.name", o.Name},
	} {
		if len(part.value) > 253 || strings.ContainsFunc(part.value, notPrintable) || strings.ContainsAny(part.value, "/%") || part.value == "." || part.value == ".." {
			return invalid(nil, "%s is not a name that Kubernetes takes: at most 253 printable characters, no / or %%", part.field)
		}
	}
	return nil
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f || r > 0x7e }

// serverSet are the fields of metadata that the API server sets.
var serverSet = []string{
	"managedFields", "resourceVersion", "uid", "generation", "selfLink",
	"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
}

// clean strips from a body what Git can't declare, and refuses what it must
// not (see the package documentation). It changes body.
func clean(o events.Object, body map[string]any) error {
	delete(body, "status")
	meta, _ := body["metadata"].(map[string]any)
	if meta["ownerReferences"] != nil {
		return invalid(&o, "metadata.ownerReferences of the %s can't be declared in Git: it names an object by an id that only the cluster knows. Remove it", printable(o.Kind))
	}
	delete(meta, "ownerReferences")
	for _, field := range serverSet {
		delete(meta, field)
	}
	if meta["generateName"] != nil {
		return invalid(&o, "the %s has both a name and a generateName; remove generateName", printable(o.Kind))
	}
	delete(meta, "generateName")
	for _, field := range []string{"labels", "annotations"} {
		if _, ok := meta[field].(map[string]any); !ok && meta[field] != nil {
			return invalid(&o, "metadata.%s of the %s must be a mapping of texts; this is none", field, printable(o.Kind))
		}
	}
	strip(meta, "labels", LabelApplication)
	strip(meta, "annotations", AnnotationObject, "kubectl.kubernetes.io/last-applied-configuration")
	return nil
}

// strip removes keys from a mapping of metadata, and the mapping itself once
// that has emptied it.
func strip(meta map[string]any, field string, keys ...string) {
	m, ok := meta[field].(map[string]any)
	if !ok {
		return
	}
	before := len(m)
	for _, key := range keys {
		delete(m, key)
	}
	if len(m) == 0 && before > 0 {
		delete(meta, field)
	}
}

// printable shortens what is quoted in a message.
func printable(s string) string {
	if len(s) > 63 || strings.ContainsFunc(s, notPrintable) {
		return "object"
	}
	return s
}

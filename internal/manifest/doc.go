// SPDX-License-Identifier: Apache-2.0

// Package manifest holds what an application declares: it parses YAML and
// JSON into objects that know their file and line, puts them in the order of
// application, writes them in one canonical form and names them by digest.
// It reads no files and knows no cluster.
//
// # Parsing
//
// Scalars mean what they mean to kubectl (sigs.k8s.io/yaml: YAML 1.1, where
// yes and on are true); integers stay int64, other numbers float64. Refused,
// with file and line: a key given twice, an unknown tag, a value that JSON
// can't write (.nan, .inf), a document that is no object, an object without
// apiVersion, kind or name, generateName, and ownerReferences (they name an
// object by an id that only the cluster knows, and would have it collected).
// Empty documents are ignored, lists (kind List, or …List with items) are
// taken apart.
//
// Stripped, because the API server sets them and exports carry them: status;
// metadata.managedFields, resourceVersion, uid, generation, selfLink,
// creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds; the label
// and the annotation that Plumbline sets itself; and kubectl's
// last-applied-configuration, which repeats the whole object, a Secret's
// values included.
//
// # Digests
//
// An object digest is sha256 over the canonical JSON of the object as Git
// declares it, each sealed value of a Secret without its ciphertext. A bundle
// digest is sha256 over the default namespace and each object's key and
// digest, in order. File, line and since are in neither: moving an object to
// another file changes nothing in the cluster.
package manifest

// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

// maxReads is how many questions one render may ask.
const maxReads = 250_000

// readSet is every question that a render asked of its tree, and what
// identifies the answer: the id of a file, the names in a directory, that a
// path was not there. A render is a function of its parameters and these
// answers, so a tree that gives the same answers gives the same result.
type readSet map[string]string

// record keeps one question and its answer.
func (r readSet) record(op operation, name string, a answer) { r[string(op)+name] = a.digest }

// holds reports whether a tree answers every question as it was answered.
func (r readSet) holds(t *tree) (bool, error) {
	for question, digest := range r {
		a, err := t.identify(operation(question[0]), question[1:])
		if err != nil || a != digest {
			return false, err
		}
	}
	return true, nil
}

// event is r as events have it.
func (r readSet) event() events.ReadSet {
	h := sha256.New()
	for _, question := range slices.Sorted(maps.Keys(r)) {
		for _, part := range []string{question, r[question]} {
			h.Write([]byte(part))
			h.Write([]byte{0})
		}
	}
	return events.ReadSet{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Paths: len(r)}
}

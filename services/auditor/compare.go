// SPDX-License-Identifier: Apache-2.0

package auditor

import "github.com/plumbline-dev/plumbline/internal/compare"

// Comparison is the outcome of comparing one live body with what Git declares
// of it. It holds as long as the object looks as it did then.
type Comparison struct {
	Digest      string // the object digest of what it was compared with
	For         string // the application by whose declaration; two may declare one content
	Signature   string // of the metadata that came with the body
	Fields      string // hash of our entry then
	Claimed     string // the digest that live carried then, and Application the label
	Application string
	Doubt       int
	compare.Result
}

// Difference is one declared field that differs.
type Difference = compare.Difference

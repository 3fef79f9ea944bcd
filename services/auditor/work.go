// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// work is what a pass over one application is to look at.
type work struct {
	load   bool // read the application's view from the log first
	all    bool // every object
	keys   map[string]bool
	listed map[string]listed // that a list has brought, by object key
	begun  time.Time         // when the pass began: what it looks up must be no older
	done   func()            // called when it was looked at, whatever came of it
}

// listed is an object as a list has it.
type listed struct {
	meta Meta
	body *unstructured.Unstructured // nil where only metadata was listed
}

// add joins other to w.
func (w *work) add(other work) {
	w.load, w.all = w.load || other.load, w.all || other.all
	if w.keys == nil {
		w.keys, w.listed = map[string]bool{}, map[string]listed{}
	}
	maps.Copy(w.keys, other.keys)
	maps.Copy(w.listed, other.listed)
	switch first := w.done; {
	case first == nil:
		w.done = other.done
	case other.done != nil:
		w.done = func() { first(); other.done() }
	}
}

func (w *work) finish() {
	if w.done != nil {
		w.done()
	}
}

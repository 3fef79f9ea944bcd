// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Result is what a comparison finds.
type Result struct {
	Differences []Difference
	// Unowned are the declared fields (JSON pointers) that our entry lacks:
	// a write to them would not show in it.
	Unowned []string
}

// Difference is one declared field that differs.
type Difference struct {
	events.FieldDifference
	// Place is the JSON pointer of the field in the live body: Path counts the
	// items of a list as Git declares it. "-" stands for an item that live lacks.
	Place  string
	Absent bool           // live lacks it
	Ours   bool           // and yet our own entry owns it: it was written under our name
	Writer *events.Writer // who else owns it, or else the writer under our name
}

// Comparing is what a comparison needs to know beside the two bodies.
type Comparing struct {
	Owners Owners
	// Intact says that our entry is the one that the applier learnt. What it
	// then lacks was never ours: an admission webhook took it as we applied,
	// or the applier left it out. Only what we own is compared.
	Intact bool
	// Secret is the key that values of Secrets are compared with; the zero key
	// compares their names only.
	Secret seal.DigestKey
}

// Bodies compares the fields that desired declares, and no others, with
// live. Additions of the API server and of other writers are no difference.
// The value of a Secret never enters the result.
func Bodies(desired, live map[string]any, with Comparing) Result {
	w := &walk{Comparing: with, ours: with.Owners.ourSet(), secret: seal.IsSecret(desired)}
	if w.ours == nil {
		w.out.Unowned = []string{""}
	}
	for _, key := range slices.Sorted(maps.Keys(desired)) {
		switch {
		case key == "apiVersion" || key == "kind" || key == "status":
		case key == "metadata":
			w.metadata(desired[key], live[key])
		case key == "data" && w.secret:
			w.sealed(desired[key], live[key])
		default:
			have, present := live[key]
			w.value(field(position{}, key), desired[key], have, present)
		}
	}
	return w.out
}

// position is a place in a declared object: as a JSON pointer, and as the path
// by which managedFields knows it.
type position struct {
	pointer string
	live    string         // the pointer in the live body, where that is another; else empty
	path    fieldpath.Path // as managedFields has it
	atomic  bool           // inside an atomic value: path is the value's own
}

// place is the pointer in the live body.
func (p position) place() string {
	if p.live != "" {
		return p.live
	}
	return p.pointer
}

func field(at position, name string) position {
	token := "/" + Escape(name)
	next := position{pointer: at.pointer + token, path: at.path, atomic: at.atomic}
	if at.live != "" {
		next.live = at.live + token
	}
	if !at.atomic {
		next.path = append(at.path.Copy(), fieldpath.FieldNameElement(name))
	}
	return next
}

// item is the declared item at index, which is at place in the live list; -1:
// it is not there.
func item(at position, index, place int, element *fieldpath.PathElement) position {
	next := position{pointer: at.pointer + "/" + strconv.Itoa(index), path: at.path, atomic: at.atomic || element == nil}
	switch {
	case place < 0:
		next.live = at.place() + "/-"
	case at.live != "" || place != index:
		next.live = at.place() + "/" + strconv.Itoa(place)
	}
	if !next.atomic {
		next.path = append(at.path.Copy(), *element)
	}
	return next
}

type walk struct {
	Comparing
	ours   *fieldpath.Set
	secret bool
	out    Result
}

// metadata compares what of the metadata can be declared.
func (w *walk) metadata(want, have any) {
	desired, _ := want.(map[string]any)
	live, _ := have.(map[string]any)
	at := field(position{}, "metadata")
	for _, key := range []string{"annotations", "finalizers", "labels"} {
		if value, ok := desired[key]; ok {
			have, present := live[key]
			w.value(field(at, key), value, have, present)
		}
	}
}

// sealed compares the values of a Secret: what is declared is an HMAC.
func (w *walk) sealed(want, have any) {
	desired, _ := want.(map[string]any)
	live, _ := have.(map[string]any)
	at := field(position{}, "data")
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		here := field(at, name)
		text, present := live[name].(string)
		if !present {
			w.differs(here, desired[name], nil, false)
			continue
		}
		w.sees(here)
		declared, _ := desired[name].(string)
		if w.Secret.Zero() || !seal.Sealed(declared) {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !seal.Matches(declared, plain, w.Secret) {
			w.differs(here, nil, nil, true)
		}
	}
}

func (w *walk) value(at position, want, have any, present bool) {
	switch want := want.(type) {
	case nil:
		return // declares nothing
	case map[string]any:
		if live, ok := have.(map[string]any); ok {
			w.object(at, want, live)
			return
		}
	case []any:
		if live, ok := have.([]any); ok {
			w.list(at, want, live)
			return
		}
	default:
		if present && equal(at.pointer, want, have) {
			w.sees(at)
			return
		}
	}
	if have == nil && zero(want) {
		return // the API server leaves zero values out
	}
	w.differs(at, want, have, present && have != nil)
}

func (w *walk) object(at position, want, have map[string]any) {
	if !at.atomic && len(want) > 0 && w.isAtomic(at.path) {
		at.atomic = true
		if extra := additions(want, have); len(extra) > 0 && !w.owned(at.path) {
			w.differs(at, want, have, true)
			return
		}
	}
	if len(want) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		live, present := have[key]
		w.value(field(at, key), want[key], live, present)
	}
}

// additions are the keys that only live has and that no default of the API
// server explains.
func additions(want, have map[string]any) []string {
	var extra []string
	for key := range have {
		if _, declared := want[key]; !declared && key != "apiVersion" && key != "divisor" {
			extra = append(extra, key)
		}
	}
	return extra
}

// owned reports whether our entry has a path, something below it, or an atomic
// value above it. An entry may keep a mapping without a field of it, once
// others have taken all of them: that is no atomic value.
func (w *walk) owned(p fieldpath.Path) bool {
	if w.ours == nil {
		return false
	}
	set := w.ours
	for i, element := range p {
		child := set.WithPrefix(element)
		if child.Empty() {
			return set.Members.Has(element) && (i == len(p)-1 || w.isAtomic(p[:i+1]))
		}
		set = child
	}
	return true
}

// sees notes a declared field that our entry lacks.
func (w *walk) sees(at position) {
	if w.ours != nil && !w.owned(at.path) {
		w.out.Unowned = append(w.out.Unowned, at.pointer)
	}
}

func (w *walk) differs(at position, want, have any, present bool) {
	owned := w.owned(at.path)
	if w.Intact && !owned {
		return
	}
	w.sees(at)
	d := Difference{Place: at.place(), Absent: !present, Ours: owned && present, FieldDifference: events.FieldDifference{Path: at.pointer}}
	if w.secret {
		d.Redacted = true
	} else {
		d.Desired = printed(want)
		if present {
			d.Live = printed(have)
		}
	}
	if present {
		if d.Writer = w.Owners.writer(at.path); d.Writer == nil && owned {
			d.Writer = w.Owners.our()
		}
	}
	w.out.Differences = append(w.out.Differences, d)
}

// maxValue is how many bytes of a value an event carries.
const maxValue = 256

// printed is v as JSON, cut.
func printed(v any) string {
	text, err := manifest.Canonical(map[string]any{"v": v})
	if err != nil || len(text) < len(`{"v":}`) {
		return ""
	}
	return cut(string(text[len(`{"v":`):len(text)-1]), maxValue)
}

// cut shortens s to at most n bytes, between runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

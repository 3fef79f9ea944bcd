// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Field is what is known of one field of an object.
type Field struct {
	Pointer  string `json:"pointer"` // JSON pointer, items of a list counted as Git declares them
	Declared bool   `json:"declared"`
	Git      any    `json:"git,omitempty"`      // the declared value
	Redacted bool   `json:"redacted,omitempty"` // of a Secret: no value is told
	Ignored  bool   `json:"ignored,omitempty"`  // a rule takes it out of the audit
	// Live is nil where no cluster was asked.
	Live *LiveField `json:"live,omitempty"`
	// Differs are the differences of open divergences at this field, above it or
	// below it.
	Differs []events.FieldDifference `json:"differs,omitempty"`
	Writer  *events.Writer           `json:"writer,omitempty"` // of such a divergence
}

// LiveField is what the cluster has of a field.
type LiveField struct {
	Present bool `json:"present"`
	Value   any  `json:"value,omitempty"`
	// Differs says that it is not as Git declares it, by the rules that the
	// auditor compares by.
	Differs bool `json:"differs"`
	// Managers own it, the last writer first. The time is that of the manager's
	// last write to anything of the object.
	Managers []events.Writer `json:"managers,omitempty"`
}

// FieldOf says what Git declares for a field and what its open divergences tell
// of it. body is the declared body, nil where nothing declares the object.
func FieldOf(tokens []string, body map[string]any, d *Declaration) Field {
	f := Field{Pointer: pointerOf(tokens)}
	f.Git, f.Declared = compare.At(body, tokens)
	if secret(body) && tokens[0] == "data" {
		f.Git, f.Redacted = nil, true
	}
	if d == nil {
		return f
	}
	f.Ignored = compare.Ignored(d.Ignore, d.Object.Object, f.Pointer)
	for _, open := range d.Divergences {
		for _, diff := range open.Fields {
			if related(f.Pointer, diff.Path) {
				f.Differs = append(f.Differs, diff)
				f.Writer = open.Writer
			}
		}
	}
	return f
}

// Look adds what the live body has. with says how bodies are compared.
func (f *Field) Look(body, live map[string]any, with compare.Comparing) {
	tokens := compare.Tokens(f.Pointer)
	at := with.Owners.Locate(body, live, tokens)
	l := &LiveField{Managers: with.Owners.Of(at)}
	l.Value, l.Present = compare.At(live, at.Tokens)
	if body != nil {
		l.Differs = slices.ContainsFunc(compare.Bodies(body, live, with).Differences, func(d compare.Difference) bool { return related(f.Pointer, d.Path) })
	}
	// Annotations of a Secret may repeat its values: what Git does not declare
	// in the clear is not told, and no whole that may hold it.
	if f.Redacted || secret(live) && (!f.Declared || composite(l.Value)) {
		l.Value, f.Redacted = nil, true
	}
	f.Live = l
}

// secret reports whether a body is a Secret's; one without kind is none.
func secret(body map[string]any) bool { return seal.IsSecret(body) }

func composite(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// related reports whether one pointer is the other, or lies above or below it.
func related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

func pointerOf(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + compare.Escape(t))
	}
	return b.String()
}

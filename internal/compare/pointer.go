// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/events"
)

// Escape writes one reference token of a JSON pointer (RFC 6901, section 3).
func Escape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// Tokens are the reference tokens of a JSON pointer; none for the whole.
func Tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens
}

// At is the value that tokens lead to.
func At(v any, tokens []string) (any, bool) {
	for _, t := range tokens {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[t]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(t)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// Place is a field in a live body.
type Place struct {
	Tokens []string // of its JSON pointer there; "-" for an item that is not there
	path   fieldpath.Path
	absent bool // an item on the way is not there
}

// Locate finds in the live body the field that tokens lead to in the declared
// one: the items of a list may be in another order there. Where Git declares no
// such field, tokens lead into the live body themselves.
func (o Owners) Locate(desired, live any, tokens []string) Place {
	w := &walk{Comparing: Comparing{Owners: o}}
	var at Place
	atomic := false
	for _, token := range tokens {
		at.Tokens = append(at.Tokens, token)
		list, isList := live.([]any)
		if !isList {
			desired, _ = At(desired, []string{token})
			live, _ = At(live, []string{token})
			if !atomic {
				at.path = append(at.path, fieldpath.FieldNameElement(token))
				atomic = w.isAtomic(at.path)
			}
			continue
		}
		declared, _ := desired.([]any)
		j, element := w.partner(at.path, declared, list, token)
		atomic = atomic || element == nil
		if element != nil && !atomic {
			at.path = append(at.path, *element)
		}
		desired, _ = At(desired, []string{token})
		last := len(at.Tokens) - 1
		if j < 0 {
			live, at.Tokens[last], at.absent = nil, "-", true
			continue
		}
		live, at.Tokens[last] = list[j], strconv.Itoa(j)
	}
	return at
}

// partner finds the live item that stands for the one at token of the declared
// list, or for the one at token of the live list where Git declares none; -1:
// there is none. A list without keys or a set's values has no elements.
func (w *walk) partner(p fieldpath.Path, declared, live []any, token string) (int, *fieldpath.PathElement) {
	index, err := strconv.Atoi(token)
	if err != nil || index < 0 {
		return -1, nil
	}
	keys, set := w.listKind(p)
	if len(keys) == 0 && !set {
		if index < len(live) {
			return index, nil
		}
		return -1, nil
	}
	j := index
	if index < len(declared) {
		if set {
			j = slices.IndexFunc(live, func(v any) bool { return equal("", declared[index], v) })
		} else {
			j = pair(keys, declared, live)[index]
		}
	}
	if j < 0 || j >= len(live) {
		return -1, nil
	}
	item, isMap := live[j].(map[string]any)
	if set || !isMap {
		element := valueElement(live[j])
		return j, &element
	}
	element := keyElement(keys, item)
	return j, &element
}

// Of are the recorded writers of a field, the last one first.
func (o Owners) Of(at Place) []events.Writer {
	if at.absent {
		return nil
	}
	var out []events.Writer
	for _, owner := range o {
		if covers(owner.Set, at.path) {
			out = append(out, owner.Writer)
		}
	}
	slices.SortStableFunc(out, func(a, b events.Writer) int { return b.Time.Compare(a.Time) })
	return out
}

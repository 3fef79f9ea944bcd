// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"encoding/json"
	"slices"
	"strconv"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// list compares a declared list with a live one. What sort of list it is, the
// API server shows in managedFields: its items are addressed by key
// (k:{"name":"web"}), by value (v:"x"), or not at all, and then it is atomic.
func (w *walk) list(at position, want, have []any) {
	keys, set := w.listKind(at.path)
	switch {
	case len(want) == 0: // declares no item
	case at.atomic:
		w.inOrder(at, want, have)
	case len(keys) > 0 && ofMaps(want):
		w.byKey(at, keys, want, have)
	case set:
		w.members(at, want, have)
	case len(want) > 0 && ofMaps(want) && !w.isAtomic(at.path) && named(want) && named(have):
		w.byKey(at, []string{"name"}, want, have) // nobody owns an item of it now
	default:
		w.inOrder(at, want, have)
	}
}

// listKind reads from the entries how the items of a list are addressed.
func (w *walk) listKind(p fieldpath.Path) (keys []string, set bool) {
	for _, owner := range w.Owners {
		below := descend(owner.Set, p)
		if below == nil {
			continue
		}
		for element := range elements(below) {
			switch {
			case element.Key != nil:
				for _, f := range *element.Key {
					keys = append(keys, f.Name)
				}
				return keys, false
			case element.Value != nil:
				set = true
			}
		}
	}
	return nil, set
}

// isAtomic reports whether the entries know a path as one value: someone owns
// it, and nobody anything below it.
func (w *walk) isAtomic(p fieldpath.Path) bool {
	owned := false
	for _, owner := range w.Owners {
		if below := descend(owner.Set, p); below != nil && !below.Empty() {
			return false
		}
		owned = owned || owner.Set.Has(p)
	}
	return owned
}

// inOrder compares item by item; another length is a difference of the whole.
func (w *walk) inOrder(at position, want, have []any) {
	if len(want) != len(have) {
		w.differs(at, want, have, true)
		return
	}
	w.sees(at)
	for i := range want {
		w.value(item(at, i, i, nil), want[i], have[i], true)
	}
}

// members compares a list that is a set of scalars: what Git names is there.
func (w *walk) members(at position, want, have []any) {
	for i, v := range want {
		element := valueElement(v)
		pointer := at.pointer + "/" + strconv.Itoa(i)
		j := slices.IndexFunc(have, func(live any) bool { return equal(pointer, v, live) })
		here := item(at, i, j, &element)
		if j >= 0 {
			w.sees(here)
			continue
		}
		w.differs(here, v, nil, false)
	}
}

// byKey compares items that have the same key, in any order.
func (w *walk) byKey(at position, keys []string, want, have []any) {
	partner := pair(keys, want, have)
	for i, v := range want {
		declared, _ := v.(map[string]any)
		j := partner[i]
		if j < 0 {
			element := keyElement(keys, declared)
			w.differs(item(at, i, j, &element), v, nil, false)
			continue
		}
		live, _ := have[j].(map[string]any)
		element := keyElement(keys, live)
		w.object(item(at, i, j, &element), declared, live)
	}
}

// pair finds for each declared item the live one with its key, -1 if there is
// none. A part of the key that Git leaves out is a default of the API server
// (a port's protocol), so items that declare the whole key choose first.
func pair(keys []string, want, have []any) []int {
	partner := make([]int, len(want))
	taken := make([]bool, len(have))
	for i := range partner {
		partner[i] = -1
	}
	for _, whole := range []bool{true, false} {
		for i, v := range want {
			declared, ok := v.(map[string]any)
			if !ok || partner[i] >= 0 || whole != hasAll(declared, keys) {
				continue
			}
			for j, l := range have {
				if live, ok := l.(map[string]any); ok && !taken[j] && sameKey(keys, declared, live) {
					partner[i], taken[j] = j, true
					break
				}
			}
		}
	}
	return partner
}

func hasAll(m map[string]any, keys []string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { _, ok := m[k]; return !ok })
}

func sameKey(keys []string, declared, live map[string]any) bool {
	for _, k := range keys {
		v, ok := declared[k]
		if ok && !equal("", v, live[k]) {
			return false
		}
	}
	return true
}

func keyElement(keys []string, m map[string]any) fieldpath.PathElement {
	var fields value.FieldList
	for _, k := range keys {
		if v, ok := m[k]; ok {
			fields = append(fields, value.Field{Name: k, Value: value.NewValueInterface(plainNumber(v))})
		}
	}
	fields.Sort()
	return fieldpath.PathElement{Key: &fields}
}

func valueElement(v any) fieldpath.PathElement {
	return fieldpath.ValueElement(value.NewValueInterface(plainNumber(v)))
}

// plainNumber makes of a JSON number what structured-merge-diff knows.
func plainNumber(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return f
}

func descend(set *fieldpath.Set, p fieldpath.Path) *fieldpath.Set {
	for _, element := range p {
		if set == nil || set.Empty() {
			return nil
		}
		set = set.WithPrefix(element)
	}
	return set
}

// elements yields what a set addresses directly.
func elements(set *fieldpath.Set) func(func(fieldpath.PathElement) bool) {
	return func(yield func(fieldpath.PathElement) bool) {
		for element := range set.Members.All() {
			if !yield(element) {
				return
			}
		}
		for element := range set.Children.All() {
			if !yield(element) {
				return
			}
		}
	}
}

func ofMaps(list []any) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return !ok })
}

func named(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		_, ok := m["name"].(string)
		return !ok
	})
}

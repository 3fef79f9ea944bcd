// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/test/seed"
)

// FuzzReadJSON: of a text that the standard library takes for JSON, the
// members are those that it finds; one name twice, and what nests too deep,
// apart. What it doesn't take is refused, by whoever decodes the scalars at
// the latest.
func FuzzReadJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `1e5`, `-0.1`, `"a"`, ` { "a" : [ 1 , { "b" : "\"}" } ] } `, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		`{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a":1}}`, `{"a":1} x`, "{\"a\":\"\n\"}", "{\"a\x00\":1}",
		`"\`, `{"a`, `{"a":tru}`, `{"a":01}`, "\x00", "1\x00", `{"\ud800":1,"\ud801":2}`, `{"":1}`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
		`{"a0":0,"a1":0,"a2":0,"a3":0,"a4":0,"a5":0,"a6":0,"a7":0,"a8":0,"a9":0,"b0":0,"b1":0,"b2":0,"b3":0,"b4":0,"b5":0,"b6":0,"b7":0,"b8":0,"b9":0,"c0":0,"c1":0,"c2":0,"c3":0,"c4":0,"c5":0,"c6":0,"a0":0}`,
	} {
		f.Add([]byte(text))
	}
	seed.Each(f, func(file seed.File) {
		f.Add(file.Data)
		if text, err := yaml.YAMLToJSON(file.Data); err == nil && len(text) <= seed.MaxFile {
			f.Add(text)
		}
	}, "bus", "yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // refused before
		}
		members, err := readJSON(text, new(room))
		if !json.Valid(text) {
			if err == nil && members != nil && allJSON(members) {
				t.Fatalf("%q is no JSON, and is read", text)
			}
			return
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(text, &want) != nil {
			want = nil
		}
		if err != nil {
			if !twice(text) && !strings.Contains(err.Error(), "deeper") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if twice(text) {
			t.Fatalf("%q has a name twice, and is read", text)
		}
		if len(members) != len(want) {
			t.Fatalf("%q has %d members, and %d were read", text, len(want), len(members))
		}
		for _, m := range members {
			if !bytes.Equal(m.value, want[string(m.name)]) {
				t.Fatalf("%q: the value of %q is %q, and %q was read", text, m.name, want[string(m.name)], m.value)
			}
		}
	})
}

func allJSON(members []member) bool {
	return !slices.ContainsFunc(members, func(m member) bool { return !json.Valid(m.value) })
}

// twice reports whether an object of a JSON text has one name twice, by the
// standard library's tokens.
func twice(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []map[string]bool
	isName := false
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
		case string:
			if isName {
				names := open[len(open)-1]
				if names[v] {
					return true
				}
				names[v], isName = true, false
				continue
			}
		}
		isName = len(open) > 0 && open[len(open)-1] != nil
	}
}

func TestReadJSONNamesTheMembersInTheirOrder(t *testing.T) {
	members, err := readJSON([]byte(` {"b": 1 , "\u0061" :{"x":[]},"c":"d"}`), new(room))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range members {
		got[string(m.name)] = string(m.value)
	}
	if want := map[string]string{"b": "1", "a": `{"x":[]}`, "c": `"d"`}; !maps.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

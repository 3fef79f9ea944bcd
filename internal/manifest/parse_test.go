// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// places lists where each object was found: "kind/name:line".
func places(objects []manifest.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, fmt.Sprintf("%s:%d", o.Object, o.Line))
	}
	return out
}

func TestParseFindsObjectsAndLines(t *testing.T) {
	for _, c := range []struct {
		name, file, data string
		want             []string
	}{
		{"documents", "a.yaml", "# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\n---\n---\n# nothing\n---\nnull\n--- # last\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: b\n", []string{"ConfigMap/ns/a:3", "Deployment.apps/b:12"}},
		{"crlf and BOM", "a.yml", "\xef\xbb\xbfapiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: a\r\n---\r\napiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: b}\r\n", []string{"ConfigMap/a:1", "ConfigMap/b:6"}},
		{"list", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: b}\n", []string{"ConfigMap/a:4", "ConfigMap/b:7"}},
		{"typed list", "a.yaml", "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n", []string{"ConfigMap/a:4"}},
		{"empty list", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n", nil},
		{"a kind that ends in List", "a.yaml", "apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {items: [1]}\n", []string{"AllowList.x.io/a:1"}},
		{"json", "a.json", "\n{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"s\":\"\\ud83d\\ude00\\/\"}}\n]}\n{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\n\"metadata\":{\"name\":\"b\"}}", []string{"ConfigMap/a:3", "ConfigMap/b:5"}},
		{"empty", "a.yaml", "", nil},
		{"comments", "a.yaml", "# nothing\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, err := manifest.Parse(c.file, []byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, places(objects)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"

func TestParseRefuses(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	syntax, object := events.ReasonSyntax, events.ReasonObjectInvalid
	for _, c := range []struct {
		name, file, data string
		reason           events.Reason
		line             int
	}{
		{"tab", "a.yaml", "a: 1\n\tb: 2\n", syntax, 2},
		{"first line", "a.yaml", "a: b: canary\n", syntax, 1},
		{"first line open", "a.yaml", "a: [canary", syntax, 1},
		{"control character", "a.yaml", head + "\x01", syntax, 0},
		{"unclosed", "a.yaml", head + "data: {a: canary\n", syntax, 5},
		{"unknown anchor", "a.yaml", head + "data:\n  p: *canary\n", syntax, 6},
		{"unknown tag", "a.yaml", head + "data:\n  p: !canary x\n", syntax, 6},
		{"duplicate key", "a.yaml", head + "data:\n  p: canary\n  p: canary\n", syntax, 7},
		{"duplicate key by resolution", "a.yaml", head + "data:\n  1: canary\n  '1': canary\n", syntax, 7},
		{"duplicate key in json", "a.json", "{\"a\":1,\n\"a\":2}", syntax, 2},
		{"infinite", "a.yaml", head + "data: {p: .inf}\n", syntax, 5},
		{"not a number", "a.yaml", head + "data:\n  p: .nan\n", syntax, 6},
		{"huge number in json", "a.json", "{\"a\":1e999}", syntax, 1},
		{"alias bomb", "a.yaml", bomb, syntax, 0},
		{"small alias bomb", "a.yaml", strings.Join(strings.SplitAfter(bomb, "\n")[:5], ""), syntax, 0},
		{"alias of itself", "a.yaml", head + "data: &d\n  p: *d\n", syntax, 6},
		{"merge of itself", "a.yaml", head + "data: &d\n  <<: *d\n", syntax, 6},
		{"merge of a text", "a.yaml", head + "data:\n  <<: canary\n", syntax, 6},
		{"deep", "a.yaml", head + "data: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), syntax, 5},
		{"very deep", "a.yaml", strings.Repeat("[", 100_000), syntax, 0},
		{"deep json", "a.json", strings.Repeat("[", 100_000), syntax, 1},
		{"null key", "a.yaml", head + "data:\n  : canary\n", syntax, 6},
		{"mapping as key", "a.yaml", head + "data:\n  {a: b}: canary\n", syntax, 6},
		{"binary that is no text", "a.yaml", head + "data:\n  p: !!binary /w==\n", syntax, 6},
		{"cut json", "a.json", "{\"a\":\n\"canary\"", syntax, 2},
		{"bad json", "a.json", "{\"a\":\n canary}", syntax, 2},
		{"latin1 json", "a.json", "{\"a\":\"\xe9\"}", syntax, 0},
		{"too many documents", "a.yaml", strings.Repeat("---\n", manifest.MaxDocuments+2), syntax, 0},
		{"too many values", "a.json", "[" + strings.Repeat("1,", manifest.MaxNodes) + "1]", syntax, 1},
		{"too large", "a.yaml", strings.Repeat("#", manifest.MaxFile+1), syntax, 0},
		{"sequence", "a.yaml", "# x\n- a\n", object, 2},
		{"text", "a.yaml", "canary\n", object, 1},
		{"no kind", "a.yaml", "apiVersion: v1\nmetadata: {name: a}\n", object, 1},
		{"no apiVersion", "a.yaml", "---\nkind: ConfigMap\nmetadata: {name: a}\n", object, 2},
		{"empty group", "a.yaml", "apiVersion: /v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: canary}\n", object, 1},
		{"empty version", "a.yaml", "apiVersion: v1/\nkind: Secret\nmetadata: {name: a}\n", object, 1},
		{"two slashes", "a.yaml", "apiVersion: a/b/v1\nkind: Secret\nmetadata: {name: a}\n", object, 1},
		{"no metadata", "a.yaml", "apiVersion: v1\nkind: ConfigMap\n", object, 1},
		{"no name", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: a}\n", object, 1},
		{"number as name", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}\n", object, 1},
		{"name with a slash", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../a}\n", object, 1},
		{"generateName", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n", object, 1},
		{"both names", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, generateName: a-}\n", object, 1},
		{"owner", "a.yaml", head + "  ownerReferences: [{uid: x}]\n", object, 1},
		{"item without name", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n", object, 4},
		{"items that are none", "a.yaml", "apiVersion: v1\nkind: List\nitems: canary\n", object, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := manifest.Parse(c.file, []byte(c.data))
			var e *manifest.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if e.Reason != c.reason || c.line != 0 && e.Line != c.line || e.File != c.file || e.Message == "" {
				t.Errorf("%s at %s:%d: %s", e.Reason, e.File, e.Line, e.Message)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("a value shows: %v", err)
			}
		})
	}
}

// TestScalarsAreKubectls compares with what kubectl makes of each scalar, as
// a value and as a key.
func TestScalarsAreKubectls(t *testing.T) {
	for _, s := range []string{
		"yes", "Yes", "no", "on", "OFF", "y", "n", "true", "False", "~", "null", "Null", "''", `"yes"`, "'1'",
		"0", "1", "-1", "+1", "0o7", "0777", "0x1F", "0b11", "-0b11", "1_000", "1.0", "1.5", "-0.0", "1e3", "1e-7", ".5", "5.",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1e21", "123456789012345678901234567890",
		"2001-01-01", "2001-12-14t21:59:43.10-05:00", "12:30:45", "190:20:30", "1.2.3", "1e", "0x", "=", "a b", "|\n    text\n", ">-\n    a\n    b\n", "!!str 1", "!!str yes", "!!int '1'", "!!float 1", "!!bool 'true'", "!!binary aGk=", "[]", "{}",
	} {
		t.Run(s, func(t *testing.T) {
			doc := head + "data:\n  v: " + s + "\n"
			j, err := yaml.YAMLToJSONStrict([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			want, err := manifest.DecodeBody(j)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := manifest.Parse("a.yaml", []byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, objects[0].Body); diff != "" {
				t.Errorf("(-kubectl +Parse):\n%s", diff)
			}
		})
	}
	for _, key := range []string{"yes", "1", "1.5", "0777", "true", "a", "'1'", "2001-01-01", "1e3"} {
		doc := head + "data:\n  " + key + ": x\n"
		j, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := manifest.Parse("a.yaml", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Canonical(objects[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(j) {
			t.Errorf("key %s: %s, kubectl makes %s", key, got, j)
		}
	}
}

func TestNumbersOfJSONAreKubernetes(t *testing.T) {
	objects, err := manifest.Parse("a.json", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"n":[1.0,1e3,1.5,-0,9223372036854775808]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), int64(1000), 1.5, int64(0), float64(9223372036854775808)}
	if diff := cmp.Diff(want, objects[0].Body["n"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAliasesAndMerges(t *testing.T) {
	objects, err := manifest.Parse("a.yaml", []byte(head+`base: &base {a: 1, b: 2}
more: &more {b: 3, c: 4}
one: {<<: *base, a: 9}
two:
  b: 0
  <<: [*base, *more]
same: *base
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(objects[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"v1","base":{"a":1,"b":2},"kind":"ConfigMap","metadata":{"name":"a"},"more":{"b":3,"c":4},"one":{"a":9,"b":2},"same":{"a":1,"b":2},"two":{"a":1,"b":0,"c":4}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestServerSetFieldsAreStripped(t *testing.T) {
	objects, err := manifest.Parse("a.yaml", []byte(`apiVersion: v1
kind: Secret
metadata:
  name: a
  uid: u
  resourceVersion: "1"
  generation: 2
  selfLink: /x
  creationTimestamp: null
  deletionTimestamp: null
  deletionGracePeriodSeconds: 3
  managedFields: [{manager: x}]
  ownerReferences: null
  labels: {plumbline.dev/application: other, mine: x}
  annotations:
    plumbline.dev/object: sha256:0
    kubectl.kubernetes.io/last-applied-configuration: '{"data":{"p":"canary"}}'
status: {x: y}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "a", "labels": map[string]any{"mine": "x"}}}
	if diff := cmp.Diff(want, objects[0].Body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// breaks counts what ends a line in YAML 1.1 (section 4.2).
func breaks(data []byte) int {
	n := 0
	for _, r := range string(data) {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
			n++
		}
	}
	return n
}

// FuzzParse: a file of any content is read in time to objects whose canonical
// form is the same object, or refused with file and line and none of its text.
func FuzzParse(f *testing.F) {
	const canary = "kanarienvogel-3fa9c1"
	f.Add("a.yaml", []byte(head+"data: {a: 1, b: *x, c: !!binary aGk=}\n---\n{}\n"))
	f.Add("a.yaml", []byte(head+"data: {password: *"+canary+"}\n"))
	f.Add("a.yaml", []byte("password: !"+canary+" x\n"))
	f.Add("a.json", []byte(`{"password":"`+canary+`",}`))
	for _, file := range seed.Files(f, "yaml", "manifests") {
		f.Add(file.Name, file.Data)
	}
	f.Add("a.yaml", []byte(head+"x: &a {<<: *a}\n? [k]\n: v\n"))
	f.Add("a.json", []byte(`{"apiVersion":"v1","kind":"List","items":[{"kind":1}]}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		began := time.Now()
		objects, err := manifest.Parse(name, data)
		took := time.Since(began)
		for range 2 { // what is slow by itself is so each time, a loaded machine is not
			if took > 10*time.Second {
				began = time.Now()
				_, _ = manifest.Parse(name, data)
				took = min(took, time.Since(began))
			}
		}
		if took > 10*time.Second {
			t.Fatalf("%d bytes took %s", len(data), took)
		}
		if err != nil {
			var e *manifest.Error
			if !errors.As(err, &e) || e.File != name || e.Message == "" || len(e.Message) > 2<<10 || e.Line > 1+breaks(data) {
				t.Fatalf("untyped error %v", err)
			}
			// What names an object is of its identity, and meant to be said.
			if e.Object == nil && bytes.Count(data, []byte(canary)) == 1 && strings.Contains(e.Message, canary) && !bytes.Contains(data, []byte(canary+":")) {
				t.Fatalf("the file's text shows: %s", e.Message)
			}
			return
		}
		for _, o := range objects {
			c, err := manifest.Canonical(o.Body)
			if err != nil {
				t.Fatalf("no canonical form: %v", err)
			}
			again, err := manifest.DecodeBody(c)
			if err != nil {
				t.Fatalf("canonical form is not readable: %v\n%s", err, c)
			}
			if diff := cmp.Diff(o.Body, again); diff != "" {
				t.Fatalf("the canonical form is another object:\n%s", diff)
			}
			if manifest.Digest(again) != manifest.Digest(o.Body) {
				t.Fatal("digest changed")
			}
		}
	})
}

func TestAPointerOfGitLFSIsToldFromAManifest(t *testing.T) {
	text := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
	for _, name := range []string{"a.yaml", "a.json"} {
		_, err := manifest.Parse(name, []byte(text))
		var e *manifest.Error
		if !errors.As(err, &e) || e.Reason != events.ReasonObjectInvalid || !strings.Contains(e.Message, "commit the file itself") || e.File != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLabelsAndAnnotationsAreMappings(t *testing.T) {
	for field, bad := range map[string]string{"labels": "[a, b]", "annotations": "text"} {
		_, err := manifest.Parse("a.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, "+field+": "+bad+"}\n"))
		var e *manifest.Error
		if !errors.As(err, &e) || e.Reason != events.ReasonObjectInvalid || !strings.Contains(e.Message, "metadata."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := manifest.Parse("a.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: null, annotations: {}}\n")); err != nil {
		t.Error(err)
	}
}

// chain is n mappings, each of which holds the one before, and a list that is
// larger than what they are expanded to.
func chain(n int) string {
	text := "l0: &l0 {x: y}\n"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf("l%d: &l%d {x: *l%d}\n", i, i, i-1)
	}
	return text + "more: [" + strings.Repeat("x, ", n*n) + "]\n"
}

func TestCheckAliases(t *testing.T) {
	bomb := "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	for what, test := range map[string]struct{ text, says string }{
		"a bomb":                            {bomb, "times as large"},
		"a bomb behind a key given twice":   {"a: b\na: b\n" + bomb, "times as large"},
		"a bomb behind an unknown tag":      {"a: !mine b\n" + bomb, "times as large"},
		"a bomb in the second document":     {"a: b\n---\n" + bomb, "times as large"},
		"a sequence in itself":              {"a: &a [*a]\n", "part of"},
		"a mapping in itself":               {"a: &a\n  b: *a\n", "part of"},
		"one in itself by way of another":   {"a: &a [&b [x, *a], *b]\n", "part of"},
		"one in itself, behind a key twice": {"a: b\na: b\nc: &c [*c]\n", "part of"},
		"a key in itself":                   {"? &a [*a]\n: b\n", "part of"},
		"one in another without end":        {chain(100), "deeper than"},
	} {
		var e *manifest.Error
		err := manifest.CheckAliases("b/kustomization.yaml", []byte(test.text))
		if !errors.As(err, &e) || e.Reason != events.ReasonSyntax || e.File != "b/kustomization.yaml" || !strings.Contains(e.Message, test.says) {
			t.Errorf("%s: %v, want a syntax error that says %q", what, err, test.says)
		}
	}
	// Thirty times 300 values, and then 3000: three times as large as it is.
	early := "a: &a [" + strings.Repeat("x, ", 300) + "]\nb: [" + strings.Repeat("*a, ", 30) + "]\nc: [" + strings.Repeat("x, ", 3000) + "]\n"
	for _, text := range []string{"", "a: &a b\nc: *a\n", "a: &a [b]\nc: [*a, *a]\n", "{{{ & *", "a: b\n---\nc: d\n", early, chain(20)} {
		if err := manifest.CheckAliases("a.yaml", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

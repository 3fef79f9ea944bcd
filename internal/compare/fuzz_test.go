// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// canary is the value of a Secret that no result may hold.
const canary = "kanarienvogel-3fa9c1"

// FuzzCompare: whatever managedFields say, a body equals itself, two looks find
// the same, every difference leads to a place, and no value of a Secret is in
// what is found.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(`{"spec":{"containers":[{"name":"web","image":"a"}]}}`), []byte(`{"spec":{"containers":[{"name":"side"},{"name":"web","image":"b"}]}}`), []byte(deployed), []byte(`{"f:spec":{"f:replicas":{}}}`), false)
	f.Add([]byte(`{"kind":"Secret","apiVersion":"v1","data":{"p":"x"},"type":"Opaque"}`), []byte(`{"data":{"p":"`+canary+`"},"type":"`+canary+`"}`), []byte(`{"f:data":{"f:p":{}}}`), []byte(`{}`), true)
	f.Add([]byte(`{"kind":"Secret","apiVersion":"v1","data":{"p":"x"},"type":"Opaque"}`), []byte(`{"data":{"p":"`+canary+`"},"type":"`+canary+`"}`), []byte(`{"f:data":{"f:p":{}}}`), []byte(`{}`), false)
	f.Add([]byte(`{"metadata":{"finalizers":["a"],"labels":{"a/b~":"x"}},"spec":[1,[2,{"a":null}]]}`), []byte(`{"metadata":{"finalizers":["b","a"]},"spec":[1,[2]]}`), []byte(`{"f:metadata":{"f:finalizers":{"v:\"a\"":{}}}}`), []byte(`{"k:{\"x\":1}":{},"i:3":{},"v:":{}}`), false)
	f.Add([]byte(`{"a":[{"k":1,"n":{}},{"k":1}],"b":1e400}`), []byte(`{"a":[{"k":1.0}]}`), []byte(`{"f:a":{"k:{\"k\":1}":{".":{}}}}`), []byte(`[]`), false)
	declared := map[string][]byte{}
	for _, file := range seed.Files(f, "cluster") {
		if body, err := yaml.YAMLToJSON(file.Data); err == nil && strings.HasPrefix(file.Name, "in/") {
			declared[file.Input] = body
			f.Add(body, body, []byte(deployed), []byte(`{}`), false)
		}
	}
	for _, file := range seed.Files(f, "cluster") {
		for line := range bytes.Lines(file.Data) {
			// What is done in the cluster says to which object, and then what becomes of it.
			at := bytes.Index(line, []byte(" {"))
			var live json.RawMessage
			if at < 0 || file.Name != "cluster" || json.NewDecoder(bytes.NewReader(line[at:])).Decode(&live) != nil {
				continue
			}
			f.Add(declared[file.Input], []byte(live), []byte(`{"f:data":{"f:a":{}}}`), []byte(live), false)
		}
	}
	f.Fuzz(func(t *testing.T, desiredText, liveText, ours, theirs []byte, intact bool) {
		desired, err := manifest.DecodeBody(desiredText)
		if err != nil {
			return
		}
		live, err := manifest.DecodeBody(liveText)
		if err != nil {
			return
		}
		entries := []metav1.ManagedFieldsEntry{entry("plumbline", "Apply", string(ours)), entry("other", "Update", string(theirs)), {Manager: "x"}}
		with := Comparing{Owners: OwnersOf(entries), Intact: intact}
		if hash := Fields(entries); hash != HashFields(ours) {
			t.Fatalf("our entry is %s and %s", hash, HashFields(ours))
		}
		if same := Bodies(desired, desired, with); len(same.Differences) > 0 && !seal.IsSecret(desired) {
			t.Fatalf("a body differs from itself: %+v", same.Differences)
		}
		found := Bodies(desired, live, with)
		if again := Bodies(desired, live, with); !reflect.DeepEqual(found, again) {
			t.Fatalf("two looks: %+v, %+v", found, again)
		}
		check(t, desired, live, found)
	})
}

func check(t *testing.T, desired, live map[string]any, found Result) {
	t.Helper()
	for _, d := range found.Differences {
		if _, ok := At(desired, Tokens(d.Path)); !ok {
			t.Fatalf("%q is no field that Git declares", d.Path)
		}
		if len(d.Desired) > maxValue || len(d.Live) > maxValue {
			t.Fatalf("%s: values of %d and %d bytes", d.Path, len(d.Desired), len(d.Live))
		}
		if !seal.IsSecret(desired) {
			continue
		}
		if text, err := json.Marshal(d); err != nil || !d.Redacted || d.Desired != "" || d.Live != "" || strings.Contains(string(text), canary) && !strings.Contains(d.Path, canary) {
			t.Fatalf("a Secret's value shows: %s (%v)", text, err)
		}
	}
	Target(desired, live, found.Differences)
}

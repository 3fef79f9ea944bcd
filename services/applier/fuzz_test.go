// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// FuzzDecodeInventory: an inventory is read as what was written, or counts as
// lost. A damaged one never shows fewer or other objects.
func FuzzDecodeInventory(f *testing.F) {
	two := `[{"Version":"v1","Kind":"ConfigMap","Namespace":"shop","Name":"a","digest":"sha256:1"},{"Version":"v1","Kind":"Secret","Namespace":"shop","Name":"b","held":true}]`
	f.Add(`{"epoch":"e","sequence":3,"digest":"sha256:0"}`, `{"deletion":"delete","prune":true,"mode":"converge"}`, []byte(two), uint16(0), uint16(0))
	f.Add(`{}`, `{}`, []byte(two+two), uint16(0), uint16(0))
	f.Add(`{"sequence":18446744073709551616}`, `{}`, []byte(two), uint16(9), uint16(0))
	f.Add(`{"retired":["a","a"]}`, `{"finished":{}}`, []byte(`[{"Kind":"A"},{"Kind":"A"}]`), uint16(0), uint16(25))
	f.Add(`null`, `null`, []byte(`null`), uint16(1), uint16(1))
	seed.Each(f, func(file seed.File) { f.Add(`{}`, `{}`, file.Data, uint16(0), uint16(0)) }, "cluster")
	f.Fuzz(func(t *testing.T, fence, policy string, list []byte, cut, flip uint16) {
		packed := gzipped(t, list)
		whole := bytes.Clone(packed)
		packed = packed[:len(packed)-min(int(cut), len(packed))]
		if flip > 0 && len(packed) > 0 {
			packed[int(flip)%len(packed)] ^= 0x10
		}
		e := decodeInventory(configMapOf(fence, policy, packed))
		if e.broken != nil {
			return
		}
		var want []Entry
		if err := json.Unmarshal(list, &want); err != nil {
			t.Fatalf("read although its list is damaged (%v): %+v", err, e.Entries)
		}
		if len(e.Entries) != len(want) {
			t.Fatalf("%d objects were written, and %d are read (damaged: %t)", len(want), len(e.Entries), !bytes.Equal(whole, packed))
		}
		for _, w := range want {
			if diff := cmp.Diff(w, e.Entries[w.Key()], cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("another object is read than was written:\n%s", diff)
			}
		}
		again, err := encodeInventory(e.Inventory)
		if err != nil {
			if t := new(trouble); errors.As(err, &t) {
				return // too large for a ConfigMap, and said so
			}
			t.Fatal(err)
		}
		if diff := cmp.Diff(e.Inventory, decodeInventory(again).Inventory, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("written again it is another one:\n%s", diff)
		}
	})
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// configMapOf is the ConfigMap of the application shop with those parts.
func configMapOf(fence, policy string, entries []byte) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: inventoryName(app), Namespace: systemNamespace},
		Data:       map[string]string{keyApplication: app, keyFence: fence, keyPolicy: policy},
		BinaryData: map[string][]byte{keyEntries: entries},
	}
}

// FuzzMergeInventory: through plans of which any request may fail, an
// inventory loses what it holds to a deletion that was carried out, to another
// application, or to nothing.
func FuzzMergeInventory(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, []byte{byte(seed), 3, 250, 7, 0, 91, 14})
	}
	f.Add(uint64(77), bytes.Repeat([]byte{0xff, 0}, 40))
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		r := rand.New(rand.NewPCG(seed, 5))
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		inv := Inventory{Application: app, Fence: Fence{Epoch: "e", Compared: true}}
		w := newWorld()
		for sequence := uint64(1); sequence <= 6; sequence++ {
			desired := someBundle(r, sequence)
			policy := Policy{Prune: next()%4 > 0, Heal: true}
			w.disturb(r)
			plan := decide(desired, maps.Clone(w.live), inv.memory(), policy, time.Unix(0, 0))
			if len(plan.Refused) > 0 {
				continue
			}
			wide := inv.Widen(desired, plan, KeptPolicy{})
			losesNothing(t, inv, wide, plan, nil)
			results := map[string]Result{}
			for _, s := range plan.Steps {
				results[s.Key()] = carryOut(w, s, next())
			}
			narrow := wide.Settle(plan, results)
			losesNothing(t, wide, narrow, plan, results)
			if _, err := encodeInventory(narrow); err != nil {
				t.Fatal(err)
			}
			inv = narrow
		}
	})
}

var errLost = errors.New("the answer was lost")

// carryOut does one step to the world, or fails, as the script has it.
func carryOut(w *world, s Step, how byte) Result {
	key := s.Key()
	switch {
	case how%3 == 1:
		return Result{Err: errLost}
	case s.Op.Writes():
		e := Entry{Object: s.Object, Digest: s.Target.Digest, UID: "u" + key, Fields: "f:" + s.Target.Digest}
		w.live[key] = Live{UID: e.UID, Owner: app, Digest: e.Digest, Fields: e.Fields}
		return Result{Entry: e}
	case s.Op == OpDelete && how%3 == 2:
		return Result{} // a finalizer keeps it
	case s.Op == OpDelete:
		delete(w.live, key)
		return Result{Gone: true}
	}
	return Result{}
}

// losesNothing demands a reason for every entry that is no longer there.
func losesNothing(t *testing.T, before, after Inventory, plan Plan, results map[string]Result) {
	t.Helper()
	leaves := map[string]bool{}
	for _, s := range plan.Steps {
		r, done := results[s.Key()]
		gone := s.Op == OpDelete && r.Gone || s.Op == OpForget || s.Op == OpOrphan || s.Op == OpPass
		leaves[s.Key()] = done && r.Err == nil && gone
	}
	for key := range before.Entries {
		if _, kept := after.Entries[key]; !kept && !leaves[key] {
			t.Fatalf("%s is lost from the inventory by\n%s", key, plan)
		}
	}
	for _, s := range plan.Steps {
		if _, kept := after.Entries[s.Key()]; s.Op.Writes() && !kept {
			t.Fatalf("%s is written and in no inventory", s.Object)
		}
	}
}

// canary stands for a value that must be nowhere.
const canary = "kanarienvogel-3fa9c1"

// FuzzExplain: what the API server quotes of an object's values is in no
// message, and each message fits an event.
func FuzzExplain(f *testing.F) {
	for how := range uint8(12) {
		f.Add(how, "spec.template.spec.containers[0].image", "must be a valid name", "", "")
	}
	f.Add(uint8(0), "data.p", `say "no": really`, `a"b`, `:;,`)
	f.Add(uint8(3), "spec.x[k]", "must be unique; see {doc}", "{", "}]\n")
	f.Add(uint8(6), ".data.p", "expected string", "\x00\xff", "\\")
	f.Fuzz(func(t *testing.T, how uint8, path, detail, before, after string) {
		if strings.Contains(path+detail, canary) {
			return // the value is quoted by nobody but the API server
		}
		secret := before + canary + after
		err := refusalOf(how, path, detail, secret)
		for _, o := range []events.Object{{Version: "v1", Kind: "Secret", Namespace: "ns", Name: "s"}, {Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "ns", Name: "d"}} {
			explained := new(trouble)
			if !errors.As(explain(o, err), &explained) {
				t.Fatalf("%T is not explained", err)
			}
			if strings.Contains(explained.Message, canary) {
				t.Fatalf("%s: the value shows: %s", o.Kind, explained.Message)
			}
			if len(explained.Message) > maxMessage+len("…") || !utf8.ValidString(explained.Message) || explained.Message == "" || explained.Reason == "" {
				t.Fatalf("%d bytes, reason %q: %q", len(explained.Message), explained.Reason, explained.Message)
			}
		}
	})
}

// refusalOf makes a refusal as the API server's own libraries do, of a field
// with a value.
func refusalOf(how uint8, path, detail, value string) error {
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	p := field.NewPath(path)
	var fault *field.Error
	switch how % 9 {
	case 0:
		fault = field.Invalid(p, value, detail)
	case 1:
		fault = field.Duplicate(p, value)
	case 2:
		fault = field.NotSupported(p, value, []string{"a", "b"})
	case 3:
		fault = field.Invalid(p, map[string]any{"name": value, "list": []any{1, value}}, detail)
	case 4:
		fault = field.Invalid(p, []string{"x", value}, detail)
	case 5:
		fault = field.Duplicate(p, map[string]any{"name": value})
	case 6:
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: 500, Reason: metav1.StatusReasonInternalError,
			Message: fmt.Sprintf("failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): errors:\n  .%s: expected %s, got &value.valueUnstructured{Value:%q}", oneLine(path), oneLine(detail), value),
		}}
	case 7:
		fault = field.NotFound(p, value)
	default:
		fault = field.TypeInvalid(p, value, detail)
	}
	return apierrors.NewInvalid(kind, "d", field.ErrorList{fault})
}

func oneLine(s string) string { return strings.NewReplacer("\n", " ", ", got ", " ").Replace(s) }

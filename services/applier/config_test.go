// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/events"
)

func TestAnInventoryOf5000ObjectsFits(t *testing.T) {
	inv := Inventory{Application: "big", Fence: Fence{Epoch: "e", Sequence: 3, Retired: []string{"d"}}, Entries: map[string]Entry{}}
	hash := func(i int, salt string) string {
		return fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, i, salt)))
	}
	for i := range 5000 {
		o := events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: fmt.Sprint("namespace-", i%20), Name: fmt.Sprint("deployment-number-", i)}
		inv.Entries[o.Key()] = Entry{Object: o, Digest: hash(i, "digest"), Fields: hash(i, "fields"), UID: hash(i, "uid")[7:43], Left: []string{"/spec/replicas"}}
	}
	body, err := encodeInventory(inv)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeInventory(body)
	if got.broken != nil {
		t.Fatal(got.broken)
	}
	if d := cmp.Diff(inv, got.Inventory); d != "" {
		t.Error(d[:min(len(d), 1000)])
	}
}

func TestABrokenInventoryCountsAsLost(t *testing.T) {
	body, err := encodeInventory(Inventory{Application: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{keyFence, keyPolicy, keyApplication} {
		broken := body.DeepCopy()
		broken.Data[field] = "{"
		s := newInventories(nil, nil)
		s.keep(broken.Name, decodeInventory(broken))
		if inv, found := s.get("a"); found || len(inv.Entries) > 0 {
			t.Errorf("%s: found %+v", field, inv)
		}
	}
}

// What is damaged must not show fewer objects, or others: they would be
// orphaned, or pruned.
func TestADamagedInventoryCountsAsLost(t *testing.T) {
	entry := `{"Version":"v1","Kind":"ConfigMap","Namespace":"shop","Name":"a"}`
	whole := gzipped(t, []byte("["+entry+"]"))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-5] ^= 1 // in the checksum
	// A list that is whole, and blown up: gzip streams that follow one another are one.
	blank := gzipped(t, bytes.Repeat([]byte(" "), maxUnpacked/64))
	blown := slices.Concat(gzipped(t, []byte("["+entry)), bytes.Repeat(blank, 64), gzipped(t, []byte("]")))
	for name, packed := range map[string][]byte{
		"cut behind the list":    whole[:len(whole)-8],
		"checksum":               flipped,
		"something behind":       gzipped(t, []byte("["+entry+"]["+entry+"]")),
		"an object twice":        gzipped(t, []byte("["+entry+","+entry+"]")),
		"more than fits at once": blown,
	} {
		if e := decodeInventory(configMapOf("{}", "{}", packed)); e.broken == nil {
			t.Errorf("%s: read as %+v", name, e.Entries)
		}
	}
	if e := decodeInventory(configMapOf("{}", "{}", whole)); e.broken != nil || len(e.Entries) != 1 {
		t.Errorf("read as %+v, %v", e.Entries, e.broken)
	}
}

func TestAdvisoryC9ExplainsWithoutValues(t *testing.T) {
	kind := schema.GroupKind{Kind: "Secret"}
	secret := events.Object{Version: "v1", Kind: "Secret", Namespace: "ns", Name: "s"}
	err := explain(secret, apierrors.NewInvalid(kind, "s", nil))
	if err == nil {
		t.Fatal("no error")
	}
	status := &apierrors.StatusError{ErrStatus: metav1.Status{
		Code: 422, Reason: metav1.StatusReasonInvalid, Message: `data: Invalid value: "hunter2": no`,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "FieldValueInvalid", Field: "data.password", Message: `Invalid value: "hunter2": must not`}}},
	}}
	for _, o := range []events.Object{secret, {Version: "v1", Kind: "ConfigMap", Name: "c"}} {
		got := explain(o, status).(*trouble) //nolint:errorlint // as it is made
		if strings.Contains(got.Message, "hunter2") || !strings.Contains(got.Message, "data.password") {
			t.Errorf("%s: got %q", o, got.Message)
		}
	}
	if got := explain(secret, status).(*trouble).Message; strings.Contains(got, "must not") { //nolint:errorlint // as it is made
		t.Errorf("got %q", got)
	}
	for message, want := range map[string]string{
		`spec.x: Invalid value: "a:b": must be c`:               `spec.x: Invalid value: must be c`,
		`spec.x: Duplicate value: {"name":"a"}`:                 `spec.x: Duplicate value`,
		`spec.x: Not found: "hunter2"`:                          `spec.x: Not found`,
		`spec.x: Unsupported value: "q": supported values: "a"`: `spec.x: Unsupported value: supported values: "a"`,
	} {
		if got := withoutValues(message); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	long := strings.Repeat("ä", maxMessage)
	if got := cut(long); len(got) > maxMessage+8 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
}

// Who asks often while nothing can be done doesn't fill the memory.
func TestOneLookAtTheLevelWaitsAtATime(t *testing.T) {
	a := &applier{applications: map[string]*application{}}
	a.application("shop").asked.Store(true)
	a.resyncOne("shop", events.Event{}) // there is no consumer to put another one into
	a.poke("shop")
}

// The watch tells of each write of our own, too: only what another has written is
// read.
func TestOnlyNewsOfAnInventoryIsRead(t *testing.T) {
	body, err := encodeInventory(Inventory{Application: "a", ResourceVersion: "5", UID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	s := newInventories(nil, nil)
	s.keep(body.Name, decodeInventory(body))
	w := newInventoryWatch(&applier{inventories: s, log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		version, uid string
		known        bool
	}{{"5", "u", true}, {"6", "u", false}, {"5", "another", false}} {
		s.keep(body.Name, decodeInventory(body))
		told := body.DeepCopy()
		told.ResourceVersion, told.UID = c.version, types.UID(c.uid)
		told.Data[keyFence] = "{"
		if err := w.Update(told); err != nil {
			t.Fatal(err)
		}
		if _, found := s.get("a"); found != c.known {
			t.Errorf("version %s of %s: found %t", c.version, c.uid, found)
		}
	}
}

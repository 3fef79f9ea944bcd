// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestAListThatIsOlderShowsARestore(t *testing.T) {
	rewound, told := 0, 0
	w := newKindWatch(watchScope{GroupKind: schema.GroupKind{Kind: "ConfigMap"}}, func(string, string) { told++ }, func() { rewound++ })
	object := func(name, version string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", ResourceVersion: version, Labels: map[string]string{"plumbline.dev/application": "shop"}}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Replace([]any{object("a", "90")}, "100"))
	must(w.Update(object("a", "120")))
	must(w.Update(object("a", "110"))) // the watch tells late what an answer has overtaken
	must(w.Update(object("b", "130")))
	must(w.Replace([]any{object("a", "105")}, "115"))
	a, _ := w.get("/ConfigMap//a")
	if _, ok := w.get("/ConfigMap//b"); !ok || a.ResourceVersion != "120" || rewound != 0 {
		t.Errorf("got %+v", w.seen)
	}
	must(w.Replace([]any{object("a", "50")}, "60"))
	a, _ = w.get("/ConfigMap//a")
	if _, ok := w.get("/ConfigMap//b"); ok || a.ResourceVersion != "50" || rewound != 1 {
		t.Errorf("after a restore: got %+v, %d", w.seen, rewound)
	}
	must(w.Delete(object("a", "70")))
	if _, ok := w.get("/ConfigMap//a"); ok || told == 0 {
		t.Error("it is still there")
	}
}

// A list whose version has gone on, as that of a cluster that was restored with
// its revision raised, shows a restore by an object that went back.
func TestAnObjectThatIsOlderInANewerListShowsARestore(t *testing.T) {
	rewound := 0
	w := newKindWatch(watchScope{GroupKind: schema.GroupKind{Kind: "ConfigMap"}}, func(string, string) {}, func() { rewound++ })
	object := func(version string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: version}}
	}
	for _, list := range []struct {
		version, object string
		rewound         int
	}{{"100", "90", 0}, {"120", "110", 0}, {"10000", "90", 1}, {"10001", "90", 1}} {
		if err := w.Replace([]any{object(list.object)}, list.version); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.get("/ConfigMap//a"); got.ResourceVersion != list.object || rewound != list.rewound {
			t.Errorf("at %s: got %s, and %d restores", list.version, got.ResourceVersion, rewound)
		}
	}
	if err := w.Update(object("130")); err != nil {
		t.Fatal(err)
	}
	w.rewind() // another kind has shown it: what was seen of this one counts no longer
	if err := w.Replace([]any{object("100")}, "10002"); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.get("/ConfigMap//a"); got.ResourceVersion != "100" || rewound != 1 {
		t.Errorf("after a rewind: got %s, and %d restores", got.ResourceVersion, rewound)
	}
}

// The cluster is put back to an older state, and its resourceVersions come back:
// what was applied since is applied again, and nobody takes what is remembered
// of the future for another applier's work.
func TestClusterRestoredFromABackup(t *testing.T) {
	lab, err := kubelab.Start(t.Context(), kubelab.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Kill(); err != nil {
			t.Error(err)
		}
	})
	r := rigOn(t, lab)
	backup := filepath.Join(t.TempDir(), "backup")
	r.start()
	r.commit("shop", manyConfigMaps(3, "1"))
	r.applied("shop", 1)
	r.must(lab.Save(t.Context(), backup))
	r.commit("shop", manyConfigMaps(4, "2"))
	r.applied("shop", 2)
	before, _ := r.inventory("shop")
	r.must(lab.Restore(t.Context(), backup, 0))
	r.eventually("everything is applied again", func() bool {
		inv, _ := r.inventory("shop")
		return inv.Fence.Applied && inv.Fence.Sequence >= before.Fence.Sequence && len(inv.Entries) == 4
	})
	for i := range 4 {
		if r.get(configMaps_, fmt.Sprintf("c%02d", i)) == nil {
			t.Errorf("object %d is missing%s", i, r.story("shop"))
		}
	}
	r.commit("shop", manyConfigMaps(4, "3"))
	r.eventually("a new revision is applied", func() bool {
		inv, _ := r.inventory("shop")
		return inv.Fence.Applied && inv.Fence.Sequence > before.Fence.Sequence
	})
	if failed := r.events("shop", "failed"); len(failed) > 0 {
		t.Errorf("%d failures%s", len(failed), r.story("shop"))
	}
}

// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// impossible writes a tree with one entry of any name, as git fsck would
// refuse it.
func (r *repo) impossible(name string, id plumbing.Hash) plumbing.Hash {
	r.t.Helper()
	return r.object(plumbing.TreeObject, func(o *plumbing.MemoryObject) error {
		_, err := fmt.Fprintf(o, "100644 %s\x00%s", name, id[:])
		return err
	})
}

func TestUnpackRefusesWhatIsNotTheTree(t *testing.T) {
	r := newRepo(t)
	id := r.tree(map[string]string{"app/a.yaml": configMap("a", "x")}).String()
	pack := r.pack()
	if _, err := unpack(pack, id); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pack []byte
		tree string
	}{
		"another tree":  {pack, "1111111111111111111111111111111111111111"},
		"no id":         {pack, "main"},
		"a blob":        {pack, r.blob(configMap("a", "x")).String()},
		"nothing":       {nil, id},
		"no pack":       {[]byte("apiVersion: v1"), id},
		"cut":           {pack[:len(pack)/2], id},
		"many claimed":  {append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), pack[12:]...), id},
		"a huge object": {append(append([]byte{}, pack[:12]...), 0xbf, 0xff, 0xff, 0xff, 0xff, 0x7f), id},
	} {
		if _, err := unpack(c.pack, c.tree); !errors.Is(err, errSource) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingObjectIsABrokenSource(t *testing.T) {
	r := newRepo(t)
	id := r.tree(map[string]string{"app/a.yaml": configMap("a", "x")})
	blob := r.blob(configMap("a", "x"))
	delete(r.store.Objects, blob)
	delete(r.store.Blobs, blob)
	tr, err := unpack(r.pack(), id.String())
	if err != nil {
		t.Fatal(err)
	}
	p := testPool(t, 1, testLimits)
	if _, err := p.render(t.Context(), tr, "app"); !errors.Is(err, errSource) {
		t.Errorf("error %v", err)
	}
	rendersGood(t, p)
}

func TestSourcesAreSharedAndBounded(t *testing.T) {
	packs := map[string][]byte{}
	var ids []string
	for i := range 4 {
		r := newRepo(t)
		id := r.tree(map[string]string{"a": string(bytes.Repeat([]byte{byte(i)}, 1000))}).String()
		packs[id], ids = r.pack(), append(ids, id)
	}
	s := newSources(2500)
	get := func(id string) error {
		_, err := s.get(t.Context(), id, func(context.Context) ([]byte, error) { return packs[id], nil })
		return err
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := get(ids[0]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	for _, id := range ids {
		if err := get(id); err != nil {
			t.Fatal(err)
		}
	}
	if s.used > 2500 || s.recent.Len() != 2 {
		t.Errorf("%d bytes in %d trees", s.used, s.recent.Len())
	}
	if err := get(ids[0]); err != nil || s.fetched.Load() != 5 {
		t.Errorf("%v, fetched %d times", err, s.fetched.Load())
	}
	s.mu.Lock()
	s.rest, s.resting = time.Millisecond, false
	s.restLater()
	s.mu.Unlock()
	bustest.Eventually(t, "trees that nobody reads are let go", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.used == 0 && s.recent.Len() == 0 && len(s.byTree) == 0
	})
	failed := errors.New("x")
	for range 2 {
		if _, err := s.get(t.Context(), "gone", func(context.Context) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
			t.Error(err)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := newHistory(100)
	tr := unpacked(t, good)
	reads := func(n int) readSet {
		r := readSet{}
		for i := range n {
			r[fmt.Sprintf("sgone%d", i)] = "m " + fmt.Sprintf("gone%d", i)
		}
		return r
	}
	for i := range 10 {
		h.keep(fmt.Sprintf("app%d", i), &known{params: params{path: "p"}, reads: reads(30)})
	}
	if h.paths > 100 || h.recent.Len() != 3 || len(h.byApp) != 3 {
		t.Errorf("%d paths, %d applications", h.paths, h.recent.Len())
	}
	for i := range 10 {
		h.keep("app9", &known{params: params{path: "p", version: fmt.Sprint(i)}, reads: reads(1)})
	}
	if k, err := h.find("app9", params{path: "p", version: "9"}, tr); err != nil || k == nil {
		t.Errorf("the last render is forgotten: %v", err)
	} else if h.drop("app9", k); h.paths > 100 {
		t.Errorf("%d paths", h.paths)
	}
	if k, err := h.find("app9", params{path: "p", version: "9"}, tr); err != nil || k != nil {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := h.find("app9", params{path: "p", version: "1"}, tr); err != nil || k != nil {
		t.Errorf("more than %d renders are kept: %v", perApplication, err)
	}
}

// The watcher writes no deltas: what makes gigabytes of a few bytes is refused
// before anything is made of it.
func TestAdvisoryC4ASourceWithADeltaIsRefused(t *testing.T) {
	pack := append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x7a"), make([]byte, 64)...)
	_, err := unpack(pack, "1111111111111111111111111111111111111111")
	if !errors.Is(err, errSource) || !strings.Contains(err.Error(), "a delta") {
		t.Errorf("err = %v", err)
	}
}

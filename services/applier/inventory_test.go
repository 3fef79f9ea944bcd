// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

func someEntries(n int) map[string]Entry {
	entries := map[string]Entry{}
	for i := range n {
		e := Entry{
			Object: events.Object{Version: "v1", Kind: "ConfigMap", Namespace: fmt.Sprint("shop-", n), Name: fmt.Sprint("settings-", i)},
			Digest: fmt.Sprintf("sha256:%064x", i), UID: fmt.Sprint("uid-", n, "-", i), Fields: fmt.Sprintf("sha256:%064x", n), Held: i%7 == 3,
		}
		entries[e.Key()] = e
	}
	return entries
}

// Inventories that are written at one time, and after one another, are each
// read as what was written, and equal ones are equal bytes: nothing of one is
// left in what another is written with.
func TestPackedEntries(t *testing.T) {
	var group sync.WaitGroup
	for n := range 24 {
		group.Go(func() {
			entries := someEntries(n * n)
			first, err := encodeEntries(entries)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				again, err := encodeEntries(entries)
				if err != nil || !bytes.Equal(again, first) {
					t.Errorf("%d entries are other bytes when they are written again (%v)", len(entries), err)
				}
			}
			got, err := decodeEntries(first)
			if diff := cmp.Diff(entries, got); err != nil || diff != "" {
				t.Errorf("%d entries are read as others: %v\n%s", len(entries), err, diff)
			}
		})
	}
	group.Wait()
}

// What an inventory can't hold once it is written is refused before the first
// write, when its entries have no digest yet and are small.
func TestAnInventoryIsRefusedBeforeItIsTooLarge(t *testing.T) {
	for n, fits := range map[int]bool{8000: true, 14000: false} {
		entries := map[string]Entry{}
		for _, e := range someEntries(n) {
			entries[e.Key()] = Entry{Object: e.Object}
		}
		now, err := encodeEntries(entries)
		if err != nil || len(now) > maxInventory/4 {
			t.Fatalf("%d bytes already (%v)", len(now), err)
		}
		_, err = encodeInventory(Inventory{Application: "shop", Entries: entries})
		refused := new(trouble)
		if fits && err != nil || !fits && (!errors.As(err, &refused) || refused.Reason != events.ReasonNotPermitted) {
			t.Errorf("%d objects: %v", n, err)
		}
	}
}

func BenchmarkEncodeEntries(b *testing.B) {
	for _, n := range []int{4, 1000} {
		entries := someEntries(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encodeEntries(entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

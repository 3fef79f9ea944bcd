// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
)

// Inventory is what an application owns in a cluster, and its fence.
type Inventory struct {
	Application string
	Fence       Fence
	Kept        KeptPolicy
	Entries     map[string]Entry // by object key

	// ResourceVersion is that of the ConfigMap that holds it, the precondition
	// of the next write; empty: there is none yet.
	ResourceVersion string
	UID             string
}

// KeptPolicy is what must be known of an application when its declaration is
// gone.
type KeptPolicy struct {
	Deletion events.Deletion `json:"deletion"`
	Prune    bool            `json:"prune"`
	Mode     events.Mode     `json:"mode"`
	// Withheld says that the application's withdrawal was held by a guard: it
	// stays so until it is approved or the application is declared again,
	// however many others are withdrawn by then.
	Withheld bool `json:"withheld,omitempty"`
	// Finished is what is to be said of the application's withdrawal: nothing
	// of it is left but to say so, and to remove this inventory after that.
	Finished *Finished `json:"finished,omitempty"`
}

// Finished is a withdrawal that was carried out.
type Finished struct {
	Said *events.ApplicationWithdrawn `json:"said"`
	// Epoch and After are the log and the place of the application's last
	// application.withdrawn when it was carried out: who finds a later one
	// finds this one said.
	Epoch string `json:"epoch"`
	After uint64 `json:"after"`
}

func keptPolicy(d events.Declaration) KeptPolicy {
	return KeptPolicy{Deletion: d.Deletion, Prune: d.Converge.Prune, Mode: d.Converge.Mode}
}

// Deletes says whether the objects of the application are deleted when it is
// withdrawn. Without a policy they are where prune is on; those of an
// application that was only observed never are.
func (k KeptPolicy) Deletes() bool {
	if k.Mode == events.ModeObserve {
		return false
	}
	return k.Deletion == events.DeletionDelete || k.Deletion == "" && k.Prune
}

// memory is what a decision knows of the past by this inventory.
func (inv Inventory) memory() Memory {
	return Memory{Fence: inv.Fence, Entries: inv.Entries}
}

// equal reports whether a write of inv over other would change nothing.
func (inv Inventory) equal(other Inventory) bool {
	return inv.Application == other.Application && inv.ResourceVersion == other.ResourceVersion && inv.Kept == other.Kept &&
		inv.Fence.equal(other.Fence) && maps.EqualFunc(inv.Entries, other.Entries, Entry.equal)
}

// Widen returns the inventory as it is written before the first write of a
// plan: the fence raised, the entries joined by every object that the plan
// will write, and marked where a guard holds them. Whatever happens after
// that, nothing is orphaned.
func (inv Inventory) Widen(desired Desired, plan Plan, kept KeptPolicy) Inventory {
	wide := inv
	wide.Application = desired.Application
	wide.Fence = inv.Fence.Advance(desired.Order, desired.Digest, desired.Declaration)
	wide.Kept = kept
	wide.Entries = maps.Clone(inv.Entries)
	if wide.Entries == nil {
		wide.Entries = map[string]Entry{}
	}
	for _, s := range plan.Steps {
		e, known := wide.Entries[s.Key()]
		if !known {
			if s.Target == nil {
				continue
			}
			e = Entry{}
		}
		e.Object = s.Object
		if s.Target != nil {
			e.Held, e.Released, e.Waived = false, "", ""
		}
		e.Held = e.Held || s.Op == OpHold && plan.Awaited == nil
		e.Awaiting = awaits(s, plan)
		e.Offered = ""
		if s.Op == OpOffer {
			e.Offered = s.To
		}
		wide.Entries[s.Key()] = e
	}
	return wide
}

// awaits says that the deletion of a step's object waits for another
// application, and that people are told so.
func awaits(s Step, plan Plan) bool {
	return s.Op == OpHold && plan.Awaited != nil && plan.Awaited.Said
}

// Settle returns the inventory as it is written after a plan was carried out:
// narrowed by what is gone or no longer ours, with what the API server
// returned for what was written.
func (inv Inventory) Settle(plan Plan, results map[string]Result) Inventory {
	narrow := inv
	narrow.Entries = maps.Clone(inv.Entries)
	clean := !plan.quiet()
	for _, s := range plan.Steps {
		key := s.Key()
		r := results[key]
		switch {
		case s.Op == OpKeep, s.Op == OpHold, s.Op == OpOffer:
		case s.Op == OpWait || r.Err != nil:
			clean = false
		case s.Op.Writes():
			narrow.Entries[key] = r.Entry
		case s.Op == OpDelete && !r.Gone:
			clean = false // it goes when its finalizers let it
		default:
			delete(narrow.Entries, key)
		}
	}
	narrow.Fence.Applied = clean
	narrow.Fence.Compared = inv.Fence.Compared || written(plan, results)
	return narrow
}

// written says that every declared object was written or seen to be in order:
// one full compare.
func written(plan Plan, results map[string]Result) bool {
	for _, s := range plan.Steps {
		if s.Target != nil && (s.Op == OpWait || results[s.Key()].Err != nil) {
			return false
		}
	}
	return true
}

// maxInventory is how many bytes a ConfigMap takes: Kubernetes caps its data
// at 1 MiB (k8s.io/kubernetes/pkg/apis/core, MaxSecretSize).
const maxInventory = 1 << 20

// packers are writers for encodeEntries. An inventory is most often of a few
// objects, for which the tables of the better compressions take longer to be
// cleared than all the rest; one of thousands is a tenth larger for it.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one of gzip's own
	}
	return w
}}

// encodeEntries writes entries sorted, as gzipped JSON: 5,000 objects take
// about half of what a ConfigMap can hold.
func encodeEntries(entries map[string]Entry) ([]byte, error) {
	list := slices.SortedFunc(maps.Values(entries), func(a, b Entry) int { return cmp.Compare(a.Key(), b.Key()) })
	var b bytes.Buffer
	zip, _ := packers.Get().(*gzip.Writer) // New makes no others
	defer packers.Put(zip)
	zip.Reset(&b)
	if err := json.NewEncoder(zip).Encode(list); err != nil {
		return nil, fmt.Errorf("encode inventory: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("encode inventory: %w", err)
	}
	return b.Bytes(), nil
}

// sizedFrom is how many entries an inventory has at least that may not hold them,
// however long their names are.
const sizedFrom = 1000

// packedSize is how many bytes entries will pack to, once all of them are
// written, which now are packed to so many: what is applied to each does not
// compress, and what can't be held then must not be begun.
func packedSize(entries map[string]Entry, now int) (int, error) {
	if len(entries) < sizedFrom {
		return now, nil
	}
	whole, grown := maps.Clone(entries), false
	for key, e := range whole {
		if e.Digest != "" {
			continue
		}
		sum := sha256.Sum256([]byte(key))
		next := sha256.Sum256(sum[:])
		e.Digest, e.Fields = fmt.Sprintf("sha256:%x", sum), fmt.Sprintf("sha256:%x", next)
		e.UID = fmt.Sprintf("%x-%x-%x-%x-%x", next[:4], sum[:2], sum[2:4], sum[4:6], next[4:10])
		whole[key], grown = e, true
	}
	if !grown {
		return now, nil
	}
	packed, err := encodeEntries(whole)
	return len(packed), err
}

// maxUnpacked bounds what a packed inventory is unpacked to, in bytes: some
// fifty times of what fits a ConfigMap, as the entries of one application
// repeat themselves.
const maxUnpacked = 64 << 20

// decodeEntries is the inverse of encodeEntries. It reads to the end, where
// gzip has its checksum: entries that are damaged, cut, or followed by
// something else are an error, and never fewer or other entries.
func decodeEntries(data []byte) (map[string]Entry, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode inventory: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("decode inventory: %w", err)
	}
	if len(text) > maxUnpacked {
		return nil, fmt.Errorf("decode inventory: more than %d bytes", maxUnpacked)
	}
	var list []Entry
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("decode inventory: %w", err)
	}
	entries := make(map[string]Entry, len(list))
	for _, e := range list {
		if _, twice := entries[e.Key()]; twice {
			return nil, fmt.Errorf("decode inventory: %s is there twice", e.Object)
		}
		entries[e.Key()] = e
	}
	return entries, nil
}

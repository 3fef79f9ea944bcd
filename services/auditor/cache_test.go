// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Whatever the order in which objects are declared, seen and gone: what is
// there or declared is remembered, and no name beyond that.
func TestCacheForgetsWhatIsGoneAndNobodys(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		c := newCache()
		claims := map[string]map[string]declared{"a": {}, "b": {}}
		exists := map[string]bool{}
		for version := range 60 {
			key := fmt.Sprintf("/ConfigMap/ns/%d", r.IntN(6))
			m := Meta{UID: "u" + key, ResourceVersion: strconv.Itoa(100 + version)}
			switch r.IntN(5) {
			case 0:
				c.saw(key, m)
				exists[key] = true
			case 1:
				c.listed(key, m)
				exists[key] = true
			case 2, 3:
				c.left(key, m.UID, m.ResourceVersion, r.IntN(2) == 0)
				exists[key] = false
			default:
				owner := []string{"a", "b"}[r.IntN(2)]
				now := map[string]declared{}
				for range r.IntN(3) {
					k := fmt.Sprintf("/ConfigMap/ns/%d", r.IntN(6))
					if other := c.claimedBy(k); other == "" || other == owner {
						now[k] = declared{}
					}
				}
				c.claim(owner, claims[owner], now)
				claims[owner] = now
			}
			for k := range c.objects {
				if !exists[k] && c.claimedBy(k) == "" {
					t.Fatalf("seed %d: %s is remembered, %+v", seed, k, c.objects[k])
				}
			}
			for k, is := range exists {
				if c.live(k).Exists != is {
					t.Fatalf("seed %d: %s: %+v", seed, k, c.live(k))
				}
			}
		}
	}
}

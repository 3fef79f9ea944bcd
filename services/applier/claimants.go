// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"maps"
	"slices"
	"sync"
)

// claimants are the names of the applications that claim an object, by its key.
// An entry may be of claims that are gone: who finds one looks at the claims.
// It may be used from several goroutines.
type claimants struct {
	mu    sync.Mutex
	names map[string][]string
}

// change replaces what an application claims.
func (c *claimants) change(name string, was, now map[string]bool) {
	if maps.Equal(was, now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[string][]string{}
	}
	for key, claims := range was {
		if !claims || now[key] {
			continue
		}
		left := slices.DeleteFunc(c.names[key], func(n string) bool { return n == name })
		if c.names[key] = left; len(left) == 0 {
			delete(c.names, key)
		}
	}
	for key, claims := range now {
		if claims && !slices.Contains(c.names[key], name) {
			c.names[key] = append(c.names[key], name)
		}
	}
}

// of returns the applications but one that may claim one of some objects, sorted.
func (c *claimants) of(entries map[string]Entry, but string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for key := range entries {
		for _, name := range c.names[key] {
			if name != but {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"sync"

	"github.com/plumbline-dev/plumbline/events"
)

// cache is what is known of live objects: metadata alone, by object key. The
// readers of the watches fill it; the applications' serial queues read it and
// add what a look found.
type cache struct {
	mu      sync.Mutex
	objects map[string]Live
	owner   map[string]string // object key → the application that declares it
}

func newCache() *cache {
	return &cache{objects: map[string]Live{}, owner: map[string]string{}}
}

// claim notes which objects an application declares, and forgets those that
// it declared before.
func (c *cache) claim(application string, before, now map[string]declared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range before {
		if _, still := now[key]; !still && c.owner[key] == application {
			delete(c.owner, key)
			c.forget(key)
		}
	}
	for key := range now {
		c.owner[key] = application
	}
}

// forget drops what is gone and declared by nobody: names come and go without
// an end. Who declares it later has it looked for. c.mu is held.
func (c *cache) forget(key string) {
	if c.owner[key] == "" && !c.objects[key].Exists {
		delete(c.objects, key)
	}
}

func (c *cache) claimedBy(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owner[key]
}

func (c *cache) live(key string) Live {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[key]
}

// saw takes what a watch delivered: an object as it is now. It reports whether
// anything that matters to the audit has changed.
func (c *cache) saw(key string, m Meta) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.objects[key]
	if was.Exists && was.UID == m.UID && older(m.ResourceVersion, was.ResourceVersion) {
		return false // a look was faster
	}
	is := Live{Exists: true, Seen: true, Meta: m, Doubt: nextDoubt(was.Doubt, was.Meta, m), Compared: was.Compared}
	if !was.Exists && (was.Seen || was.Gone) {
		// It went and came back; or was gone by a look, and a watch that lags shows
		// it as it was before that.
		is.Doubt, is.Compared = max(is.Doubt, 1), nil
	}
	c.objects[key] = is
	return !was.Exists || is.Doubt != was.Doubt || is.Signature() != was.Signature() || is.Deleting != was.Deleting
}

// listed takes what a list delivered. What happened since the object was last
// seen is not known: it is to be compared in full.
func (c *cache) listed(key string, m Meta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.objects[key]
	c.objects[key] = Live{Exists: true, Seen: true, Meta: m, Doubt: was.Doubt + 1}
}

// looked takes the metadata that came with a body.
func (c *cache) looked(key string, m Meta) Live {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.objects[key]
	if was.Exists && was.UID == m.UID && older(m.ResourceVersion, was.ResourceVersion) {
		return was
	}
	is := was
	is.Doubt = nextDoubt(was.Doubt, was.Meta, m)
	if !was.Exists {
		is.Doubt = was.Doubt + 1
	}
	is.Exists, is.Seen, is.Gone, is.Meta = true, true, false, m
	c.objects[key] = is
	return is
}

// left takes that an object is not in what is watched any more, since version
// if that is known. sure says that it doesn't exist at all.
func (c *cache) left(key, uid, version string, sure bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, ok := c.objects[key]
	if ok && was.Exists && uid != "" && was.UID != uid {
		return false // another object has taken its name
	}
	if version == "" && !was.Exists {
		version = was.Left
	}
	c.objects[key] = Live{Seen: was.Exists || was.Seen, Gone: sure, Left: version, Doubt: was.Doubt}
	c.forget(key)
	return true
}

// written takes that the applier wrote an object, at a version: one that is
// absent, nobody knows since when, is to be looked for again, and what an older
// one was compared to says nothing any more.
func (c *cache) written(key, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is, ok := c.objects[key]
	switch {
	case !ok:
		return
	case !is.Exists && is.Left == "":
		is.Gone = false
	case is.Exists && older(is.ResourceVersion, version):
		is.Compared = nil
	}
	c.objects[key] = is
}

// compared takes the outcome of a comparison, unless the object has changed
// since its body was read.
func (c *cache) compared(key string, m Meta, result Comparison) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := c.objects[key]
	if is.Exists && is.UID == m.UID && is.ResourceVersion == m.ResourceVersion {
		result.Signature, result.Fields, result.Doubt = is.Signature(), is.Ours.Fields, is.Doubt
		result.Claimed, result.Application = is.Digest, is.Application
		is.Compared = &result
		c.objects[key] = is
	}
}

// absentees returns the keys that match and exist as far as is known, but are
// not in seen.
func (c *cache) absentees(match func(key string) bool, seen map[string]bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for key, l := range c.objects {
		if l.Exists && !seen[key] && match(key) {
			out = append(out, key)
		}
	}
	return out
}

// older reports whether resource version a is before b. Both are decimal
// numbers of one kind of object.
func older(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// objectKey is the key of an object in the cluster, its scope resolved.
func objectKey(group, kind, namespace, name string) string {
	return events.Object{Group: group, Kind: kind, Namespace: namespace, Name: name}.Key()
}

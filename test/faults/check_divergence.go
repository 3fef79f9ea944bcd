// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"strings"
	"time"
)

// alertSlack is how much longer than its window a divergence may last without
// a word, when nothing is broken.
const alertSlack = 10 * time.Second

// checkDivergences decides I8: within a life of the log each divergence is
// detected, perhaps persists, and is resolved, in that order and each once; it
// persists no sooner than its window says, and one that lasted longer, outages
// and jumps of clocks left out, was alerted; and at rest none is open. What was open when a life of the log ended
// may be told of in the next without its beginning, once.
func checkDivergences(h History) []finding {
	c := divergences{open: map[string]*divergence{}, said: map[string]bool{}, apps: map[string]App{}}
	for i, r := range h {
		switch {
		case r.Ref != nil:
			for _, app := range r.Ref.Apps {
				c.apps[app.Name] = app
			}
		case r.Log != nil:
			c.lost, c.said = c.said, map[string]bool{}
			c.open, c.turned = map[string]*divergence{}, r.At
		case r.Begun != nil:
			c.broken = append(c.broken, [2]time.Time{r.At, {}})
			c.clocks = c.clocks || r.Begun.Name == clockJumps || r.Begun.Name == clockRates
		case r.Lifted != nil && len(c.broken) > 0:
			c.broken[len(c.broken)-1][1] = r.At
		case r.Event != nil:
			c.take(i, *r.Event)
		case r.Quiet != nil && r.Quiet.Late == "":
			for key, d := range c.open {
				c.report(i, key, d.Event, "is open, and all is at rest")
			}
			c.open, c.clocks = map[string]*divergence{}, false
			c.said, c.lost, c.turned = map[string]bool{}, nil, time.Time{}
		}
	}
	return c.found
}

type divergence struct {
	Event
	persisted bool
}

type divergences struct {
	open   map[string]*divergence // by key
	said   map[string]bool        // keys that this life of the log tells of since the last rest
	lost   map[string]bool        // those of the life before, if it ended since
	turned time.Time              // when it ended; zero: before the last rest
	apps   map[string]App
	broken [][2]time.Time // from when to when something was
	clocks bool           // since the last rest clocks were wrong: how long something lasted is not known
	found  []finding
}

func (c *divergences) take(i int, e Event) {
	d := c.open[e.Key]
	first := !c.said[e.Key]
	if strings.HasPrefix(e.Type, "divergence.") {
		c.said[e.Key] = true
	}
	switch e.Type {
	case "divergence.detected":
		if d != nil && d.Since.Equal(e.Since) {
			c.report(i, e.Key, e, "was detected twice")
		}
		c.open[e.Key] = &divergence{Event: e}
	case "divergence.persisted":
		if window := c.apps[e.App].AlertAfter; !c.clocks && e.After < window {
			c.report(i, e.Key, e, fmt.Sprintf("was alerted after %s; its window is %s", e.After, window))
		}
		if d == nil {
			c.begun(i, e, first, "was alerted and never detected")
			c.open[e.Key] = &divergence{Event: e, persisted: true}
			return
		}
		if d.persisted {
			c.report(i, e.Key, e, "was alerted twice")
		}
		d.persisted = true
	case "divergence.resolved":
		delete(c.open, e.Key)
		if d == nil {
			c.begun(i, e, first, "was resolved, and it was not open")
			return
		}
		if d.persisted != e.Persisted {
			c.report(i, e.Key, e, fmt.Sprintf("says of itself that it was alerted: %t, and it was: %t", e.Persisted, d.persisted))
		}
		if window := c.apps[e.App].AlertAfter; !d.persisted && !c.clocks && e.After-c.outage(e) > window+alertSlack {
			c.report(i, e.Key, e, fmt.Sprintf("lasted %s and was never alerted; its window is %s", e.After, window))
		}
	}
}

// begun says what is wrong with an event whose divergence has no beginning in
// this life of the log. The first that is told of a key may be so where its
// beginning was in the life before: that tells of it too, as an old log that was
// put back has open what was over, or it is older than this life, and went
// before it could be read.
func (c *divergences) begun(i int, e Event, first bool, what string) {
	if !first || !c.lost[e.Key] && !e.Since.Before(c.turned) {
		c.report(i, e.Key, e, what)
	}
}

// outage is how much of a divergence's time something was broken on purpose.
func (c *divergences) outage(e Event) time.Duration {
	from, to := e.Since, e.Since.Add(e.After)
	var sum time.Duration
	for _, b := range c.broken {
		end := b[1]
		if end.IsZero() || end.After(to) {
			end = to
		}
		begin := b[0]
		if begin.Before(from) {
			begin = from
		}
		sum += max(0, end.Sub(begin))
	}
	return sum
}

func (c *divergences) report(i int, key string, e Event, what string) {
	c.found = append(c.found, finding{"I8", i, fmt.Sprintf("the divergence %s of %s (%s %v) %s", key, e.App, e.Kind, e.Objects, what)})
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells on a terminal how far something long has come; elsewhere, and
// of what is quick, it says nothing. It may be used from several goroutines.
type progress struct {
	w     io.Writer
	verb  string
	begun time.Time

	mu    sync.Mutex
	told  time.Time
	shown bool
}

const (
	quick     = time.Second            // what takes no longer needs no progress
	tellEvery = 200 * time.Millisecond // between two tellings
)

// progressOn tells on w, if that is a terminal; nil else, which says nothing.
func progressOn(w io.Writer, verb string) *progress {
	if !terminal(w) {
		return nil
	}
	return &progress{w: w, verb: verb, begun: time.Now()}
}

// step tells that n of all are done.
func (p *progress) step(n, all int) { p.say(fmt.Sprintf("%d of %d %s", n, all, p.word())) }

func (p *progress) word() string {
	if p == nil {
		return ""
	}
	return p.verb
}

func (p *progress) say(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.begun) < quick || time.Since(p.told) < tellEvery {
		return
	}
	p.told, p.shown = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[K%s", text)
}

// end takes the last telling away.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

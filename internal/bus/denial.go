// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"regexp"
	"sync"

	"github.com/nats-io/nats.go"
)

// ErrDenied says that the server denies this user what it asked for.
var ErrDenied = errors.New("the bus denies it")

// denials tells a publisher what the server says of its subject: a refusal
// comes as an error of the connection and not as an answer, which would be
// waited for in vain.
type denials struct {
	mu      sync.Mutex
	waiting map[string]map[*denial]struct{}
}

// denial is one who waits: told is called where its subject is denied, and must
// not block.
type denial struct{ told func(error) }

var deniedPublish = regexp.MustCompile(`(?i)permissions violation for publish to "([^"]+)"`)

// told hands an asynchronous error to those who wait for it.
func (d *denials) told(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	found := deniedPublish.FindStringSubmatch(err.Error())
	if found == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.waiting[found[1]] {
		w.told(ErrDenied) // whoever asked says what was asked for
	}
}

// watch returns a channel for the denial of a subject, and what ends it.
func (d *denials) watch(subject string) (<-chan error, func()) {
	c := make(chan error, 1)
	return c, d.call(subject, func(err error) {
		select {
		case c <- err:
		default:
		}
	})
}

// call has a denial of a subject told, and returns what ends that.
func (d *denials) call(subject string, told func(error)) (end func()) {
	w := &denial{told}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = map[string]map[*denial]struct{}{}
	}
	if d.waiting[subject] == nil {
		d.waiting[subject] = map[*denial]struct{}{}
	}
	d.waiting[subject][w] = struct{}{}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting[subject], w)
		if len(d.waiting[subject]) == 0 {
			delete(d.waiting, subject)
		}
	}
}

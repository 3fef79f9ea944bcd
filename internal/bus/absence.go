// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrRefused says that the server doesn't take this user's key.
var ErrRefused = errors.New("the bus refuses this key")

const (
	// What keeps a connection away is said again after sayFirst, and then at
	// growing intervals up to sayMost.
	sayFirst = 10 * time.Second
	sayMost  = 10 * time.Minute
)

// absence is what keeps the bus away: it knows why, and says so at once and then
// ever more rarely. It may be used from several goroutines.
type absence struct {
	log     *slog.Logger
	waiting func(error)
	now     func() time.Time

	mu    sync.Mutex
	cause error // nil: the bus is there
	kind  string
	next  time.Time // when it is said again
	wait  time.Duration
}

func newAbsence(cfg Config, log *slog.Logger) *absence {
	a := &absence{log: log.With("bus", cfg.URL, "user", cfg.User, "key", cfg.Creds), waiting: cfg.Waiting, now: time.Now}
	if a.waiting == nil {
		a.waiting = func(error) {}
	}
	return a
}

// begin takes note that the connection is lost.
func (a *absence) begin(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause != nil {
		return // a refusal is heard before the end of the connection
	}
	a.log.Warn("lost the bus: reconnecting until it is back", "error", err)
	a.put(kindAway, fmt.Errorf("lost the bus: %w", orClosed(err)))
}

// note takes note of a try that failed.
func (a *absence) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind, raw := kindOf(err), err
	if kind == kindRefused {
		err = fmt.Errorf("%w (%w)", ErrRefused, err)
	}
	if kind == a.kind && a.now().Before(a.next) {
		a.cause = err
		a.waiting(err)
		return
	}
	switch kind {
	case kindRefused:
		a.log.Warn("the bus refuses this key: trying until it takes it. It has to be this very user's: the server's users.conf holds its public half", "error", raw)
	case kindKey:
		a.log.Warn("the key for the bus can't be read any more: trying until it can", "error", err)
	default:
		a.log.Warn("the bus can't be reached: trying until it can", "error", err)
	}
	a.put(kind, err)
}

// put sets why the bus is away and when that is said again.
func (a *absence) put(kind string, cause error) {
	if kind != a.kind {
		a.wait = 0
	}
	a.kind, a.cause = kind, cause
	a.wait = min(max(2*a.wait, sayFirst), sayMost)
	a.next = a.now().Add(a.wait)
	a.waiting(cause)
}

// over takes note that the bus is there.
func (a *absence) over() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause != nil {
		a.log.Info("the bus is there")
	}
	a.cause, a.kind, a.wait = nil, "", 0
	a.waiting(nil)
}

// why says what keeps the bus away; nil: nothing.
func (a *absence) why() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cause
}

// Kinds of absence: a change from one to another is said at once.
const (
	kindAway    = "away"
	kindRefused = "refused"
	kindKey     = "key"
)

func kindOf(err error) string {
	switch {
	case refusesKey(err), errors.Is(err, nats.ErrPermissionViolation):
		return kindRefused
	case errors.Is(err, ErrKey):
		return kindKey
	}
	return kindAway
}

// refusesKey reports whether a server turned the user down.
func refusesKey(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked)
}

func orClosed(err error) error {
	if err == nil {
		return errors.New("the server closed the connection")
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// Key is the key of the divergence of one object of an application; object ""
// stands for the application's revision itself.
func Key(cluster, application, object string) string {
	s := sha256.Sum256([]byte(cluster + "\x00" + application + "\x00" + object))
	return hex.EncodeToString(s[:16])
}

// ledger is what the log says of one application's divergences. The log is
// the state: what is published is read again before it is built upon, and each
// transition is compare-and-set, so a second auditor, or a process that died
// in between, makes no second event.
type ledger struct {
	at     events.Address // cluster and application
	loaded bool
	known  map[string]Known
	stale  map[string]bool // keys to read again
}

// refresh reads what is not known, or not known for sure.
func (l *ledger) refresh(ctx context.Context, conn *bus.Conn) error {
	if !l.loaded {
		subjects, err := conn.Subjects(ctx, l.filter("*"))
		if err != nil {
			return fmt.Errorf("list the divergences of %s: %w", l.at.Application, err)
		}
		l.known, l.stale = map[string]Known{}, map[string]bool{}
		for _, subject := range subjects {
			if _, at, err := events.ParseSubject(subject); err == nil {
				l.stale[at.Key] = true
			}
		}
		l.loaded = true
	}
	for key := range l.stale {
		known, err := l.read(ctx, conn, key)
		if err != nil {
			return err
		}
		l.known[key] = known
		delete(l.stale, key)
	}
	return nil
}

// read finds the last event of one divergence.
func (l *ledger) read(ctx context.Context, conn *bus.Conn, key string) (Known, error) {
	var known Known
	at := l.at
	at.Key = key
	for _, name := range []string{"divergence.detected", "divergence.persisted", "divergence.resolved"} {
		e, err := conn.Last(ctx, events.TypeNamed(name).Subject(at))
		if errors.Is(err, bus.ErrNone) {
			continue
		}
		if err != nil {
			return Known{}, fmt.Errorf("read the divergence %s of %s: %w", key, l.at.Application, err)
		}
		if e.Stored > known.Last {
			known = knownFrom(e)
		}
	}
	return known, nil
}

func knownFrom(e events.Event) Known {
	known := Known{Last: e.Stored, Correlation: e.CorrelationID, Trace: e.Traceparent}
	switch data := e.Data.(type) {
	case *events.DivergenceDetected:
		known.Phase, known.Divergence = Detected, data.Divergence
	case *events.DivergencePersisted:
		known.Phase, known.Divergence = Persisted, data.Divergence
	case *events.DivergenceResolved:
		known.Divergence = data.Divergence
	}
	return known
}

// filter matches every transition of one divergence, or of all: "*".
func (l *ledger) filter(key string) string {
	if key != "*" {
		key = events.EncodeToken(key)
	}
	return events.Root + ".divergence.*." + events.EncodeToken(l.at.Cluster) + "." + events.EncodeToken(l.at.Application) + "." + key
}

// draft makes the event of one transition and marks the divergence to be read
// again.
func (l *ledger) draft(key string, known Known, data events.Payload) events.Draft {
	l.stale[key] = true
	at := l.at
	at.Key = key
	return events.Draft{
		Data: data, Address: at, Correlation: known.Correlation, Trace: known.Trace,
		Expect: &events.Expectation{Filter: l.filter(key), Last: known.Last},
	}
}

// forget makes the next refresh read everything again.
func (l *ledger) forget() { l.loaded = false }

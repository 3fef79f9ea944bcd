// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

const (
	dialTimeout   = 5 * time.Second
	reconnectWait = 250 * time.Millisecond
	// reconnectMost is the longest wait between two attempts, and so about how
	// long after its return the bus is used again: the few that are connected can
	// all ask once a second.
	reconnectMost = time.Second
)

// callbacks are told of what happens to a connection, in no particular
// goroutine.
type callbacks struct {
	changed func(back bool) // it was lost, or is back
	failed  func(error)     // an asynchronous error of the server
}

// Dial connects to the server as cfg.User and stays connected: it tries until
// ctx ends, and after that reconnects for ever. A key that can't be read ends it
// at once, with an error that wraps [ErrKey]; one that the server refuses does
// not: the server may be about to learn of it. Nothing is buffered while the
// server is away, so what was not acknowledged was not sent. Most callers want
// [Connect].
func Dial(ctx context.Context, cfg Config, log *slog.Logger) (*nats.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return dial(ctx, cfg, newAbsence(cfg, log), callbacks{func(bool) {}, func(error) {}})
}

func dial(ctx context.Context, cfg Config, absence *absence, on callbacks) (*nats.Conn, error) {
	key := &keyFile{path: cfg.Creds, user: cfg.User}
	for attempt := 0; ; attempt++ {
		nc, err := dialOnce(cfg, key, absence, on)
		if err == nil {
			absence.over()
			return nc, nil
		}
		if errors.Is(err, ErrKey) {
			return nil, err
		}
		absence.note(err)
		if !pause(ctx, reconnectDelay(attempt)) {
			return nil, fmt.Errorf("connect to the bus at %s: %w (last error: %w)", cfg.URL, ctx.Err(), absence.why())
		}
	}
}

func dialOnce(cfg Config, key *keyFile, absence *absence, on callbacks) (*nats.Conn, error) {
	public, err := key.public()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(cfg.URL,
		nats.Name(cfg.title+cfg.User),
		nats.Nkey(public, key.sign),
		nats.SetCustomDialer(key),
		nats.CustomInboxPrefix(natsconfig.InboxPrefix(cfg.User)),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(3*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.NoEcho(),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				absence.begin(err)
			}
			on.changed(false)
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { absence.note(err) }),
		nats.ReconnectHandler(func(*nats.Conn) {
			absence.over()
			on.changed(true)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if refusesKey(err) || refusesInbox(err, cfg.User) {
				absence.note(err)
			}
			on.failed(err)
		}),
	)
	if err != nil {
		return nil, err
	}
	key.conn.Store(nc)
	if err := ownInbox(nc, cfg.User); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// ownInbox checks that the key is the user's: with another user's no answer
// would ever be heard.
func ownInbox(nc *nats.Conn, user string) error {
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only on a closed connection, and then it is gone
	if err := nc.FlushTimeout(dialTimeout); err != nil {
		return err
	}
	if err := nc.LastError(); refusesInbox(err, user) {
		return fmt.Errorf("it is another user's: %w", err)
	}
	return nil
}

// refusesInbox reports whether a server denies the user its own inbox, as it
// does when the key is another user's.
func refusesInbox(err error, user string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) &&
		strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`subscription to "`+natsconfig.InboxPrefix(user)))
}

// reconnectDelay grows to reconnectMost. attempts are those that went through
// every server.
func reconnectDelay(attempts int) time.Duration {
	return min(reconnectWait<<min(attempts, 10), reconnectMost)
}

// pause waits for d and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

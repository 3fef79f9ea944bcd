// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

const (
	dialTimeout   = 5 * time.Second
	reconnectWait = 250 * time.Millisecond
	reconnectMost = 5 * time.Second
)

// callbacks are told of what happens to a connection, in no particular
// goroutine.
type callbacks struct {
	changed func()      // it was lost, or is back
	failed  func(error) // an asynchronous error of the server
}

// Dial connects to the server as cfg.User and stays connected: it tries until
// ctx ends, and after that reconnects for ever. Nothing is buffered while the
// server is away, so what was not acknowledged was not sent. Most callers want
// [Connect].
func Dial(ctx context.Context, cfg Config, log *slog.Logger) (*nats.Conn, error) {
	return dial(ctx, cfg, log, callbacks{func() {}, func(error) {}})
}

func dial(ctx context.Context, cfg Config, log *slog.Logger, on callbacks) (*nats.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	log = log.With("bus", cfg.URL, "user", cfg.User)
	key := &keyFile{path: cfg.Creds}
	for attempt := 0; ; attempt++ {
		nc, err := dialOnce(cfg, key, log, on)
		if err == nil {
			return nc, nil
		}
		if attempt == 0 {
			log.Warn("the bus can't be reached: trying until it can", "error", err)
		}
		if !pause(ctx, reconnectDelay(attempt)) {
			return nil, fmt.Errorf("connect to the bus at %s: %w (last error: %w)", cfg.URL, ctx.Err(), err)
		}
	}
}

func dialOnce(cfg Config, key *keyFile, log *slog.Logger, on callbacks) (*nats.Conn, error) {
	public, err := key.public()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(cfg.URL,
		nats.Name("plumbline "+cfg.User),
		nats.Nkey(public, key.sign),
		nats.SetCustomDialer(key),
		nats.CustomInboxPrefix(natsconfig.InboxPrefix(cfg.User)),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.NoEcho(),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				log.Warn("lost the bus: reconnecting until it is back", "error", err)
			}
			on.changed()
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			log.Info("the bus is back")
			on.changed()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { on.failed(err) }),
	)
	if err != nil {
		return nil, err
	}
	key.conn.Store(nc)
	return nc, nil
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

// keyFile is a file with the seed of an nkey. The seed is read when it is
// needed and stays in memory no longer.
type keyFile struct {
	path string
	conn atomic.Pointer[nats.Conn]
}

func (k *keyFile) pair() (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(k.path)
	if err != nil {
		return nil, fmt.Errorf("read the key for the bus: %w", err)
	}
	defer clear(seed)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, fmt.Errorf("%s holds no nkey seed: %w", k.path, err)
	}
	return pair, nil
}

func (k *keyFile) public() (string, error) {
	pair, err := k.pair()
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

func (k *keyFile) sign(nonce []byte) ([]byte, error) {
	pair, err := k.pair()
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// Dial is called by the client for each connection, with its lock held and
// before it introduces itself: the one moment at which a changed key can be
// put in place.
func (k *keyFile) Dial(network, address string) (net.Conn, error) {
	if nc := k.conn.Load(); nc != nil {
		public, err := k.public()
		if err != nil {
			return nil, err
		}
		nc.Opts.Nkey = public
	}
	return net.DialTimeout(network, address, dialTimeout)
}

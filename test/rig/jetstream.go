// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// log is the stream of events.
const log = "EVENTS"

// Connect connects as a NATS user; the caller closes the connection.
func (r *Rig) Connect(user string) (*nats.Conn, error) {
	seed, err := os.ReadFile(r.Creds(user))
	if err != nil {
		return nil, fmt.Errorf("rig: as %s: %w", user, err)
	}
	key, err := nkeys.FromSeed(trim(seed))
	if err != nil {
		return nil, fmt.Errorf("rig: as %s: %w", user, err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("rig: as %s: %w", user, err)
	}
	conn, err := nats.Connect(r.URL, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix("_INBOX_"+user))
	if err != nil {
		return nil, fmt.Errorf("rig: as %s: %w", user, err)
	}
	return conn, nil
}

// as runs do with a connection of a NATS user.
func (r *Rig) as(ctx context.Context, user string, do func(context.Context, *nats.Conn) error) error {
	conn, err := r.Connect(user)
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(ctx, conn)
}

func (r *Rig) provisioner(ctx context.Context, do func(context.Context, jetstream.JetStream) error) error {
	return r.as(ctx, "provisioner", func(ctx context.Context, conn *nats.Conn) error {
		js, err := jetstream.New(conn)
		if err != nil {
			return fmt.Errorf("rig: %w", err)
		}
		return do(ctx, js)
	})
}

// lookFor bounds one look at the bus: a question whose answer is lost is asked
// again.
const lookFor = 5 * time.Second

// provisioned is nil when every consumer is there.
func (r *Rig) provisioned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	return r.provisioner(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		for _, service := range Services {
			if _, err := js.Consumer(ctx, log, user(service)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Stored is how many bytes all streams of the bus keep.
func (r *Rig) Stored(ctx context.Context) (bytes uint64, err error) {
	err = r.provisioner(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		for _, name := range []string{log, "BLOBS", "ATTEMPTS"} {
			s, err := js.Stream(ctx, name)
			if err != nil {
				return fmt.Errorf("rig: stream %s: %w", name, err)
			}
			bytes += s.CachedInfo().State.Bytes
		}
		return nil
	})
	return bytes, err
}

// PublishAs publishes a raw message as a NATS user and waits for the stream's
// answer.
func (r *Rig) PublishAs(ctx context.Context, user, subject string, body []byte) error {
	return r.as(ctx, user, func(ctx context.Context, conn *nats.Conn) error {
		js, err := jetstream.New(conn)
		if err != nil {
			return fmt.Errorf("rig: %w", err)
		}
		_, err = js.Publish(ctx, subject, body)
		return err
	})
}

// Pending is what one consumer of the log has left to do.
type Pending struct {
	Service string
	Waiting uint64 // messages that it was not given yet
	Unacked int    // messages that it was given, and has not answered
	Again   int    // of those the ones that it was given more than once
	From    uint64 // place in the log up to which all is answered
	Missing bool   // there is no such consumer
}

// Pending asks what each service's consumer has left to do.
func (r *Rig) Pending(ctx context.Context) (all []Pending, err error) {
	err = r.provisioner(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		all, err = r.pending(ctx, js)
		return err
	})
	return all, err
}

func (r *Rig) pending(ctx context.Context, js jetstream.JetStream) ([]Pending, error) {
	var all []Pending
	for _, service := range r.services() {
		c, err := js.Consumer(ctx, log, user(service))
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			all = append(all, Pending{Service: service, Missing: true})
		case err != nil:
			return nil, fmt.Errorf("rig: consumer of the %s: %w", service, err)
		default:
			info := c.CachedInfo()
			all = append(all, Pending{service, info.NumPending, info.NumAckPending, info.NumRedelivered, info.AckFloor.Stream, false})
		}
	}
	return all, nil
}

// Drained waits until no consumer has anything left to do.
func (r *Rig) Drained(ctx context.Context) error {
	return r.provisioner(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		err := Until(ctx, func(ctx context.Context) (bool, error) {
			all, err := r.pending(ctx, js)
			busy := slices.ContainsFunc(all, func(p Pending) bool { return p.Missing || p.Waiting > 0 || p.Unacked > 0 })
			return err == nil && !busy, err
		})
		if err != nil {
			return fmt.Errorf("rig: consumers are not drained: %w", err)
		}
		return nil
	})
}

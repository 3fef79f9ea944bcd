// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
)

// rejectedMessages are for people, by the codec's errors.
func rejectedMessage(err error) string {
	switch {
	case errors.Is(err, events.ErrVersion):
		return "This event is of a version that this program doesn't know: upgrade the program that reads it."
	case errors.Is(err, events.ErrWrongSubject):
		return "This event is not what its subject says: whoever publishes it must use the subject of its type, cluster and application."
	case errors.Is(err, errUnreached):
		return "This event is of a revision that the log had not reached: nothing can have led to it. Only the service that its subject belongs to may publish it; run plumbline sync for the application."
	case errors.Is(err, events.ErrTooLarge):
		return "This event is larger than 64 KiB: large bodies travel as blobs."
	default:
		return "This message is no CloudEvent that can be read."
	}
}

// rejected is the event about an input that could not be taken; it keeps the
// original as a blob.
func (c *Consumer) rejected(ctx context.Context, t *task, reason events.Reason, message string, attempts int) (events.Draft, error) {
	r := &events.MessageRejected{
		Service: c.conn.cfg.Service, Subject: "observation", Reason: reason, Message: message, Attempts: attempts,
	}
	address := events.Address{Application: t.in.Application, Cluster: t.in.Cluster, Key: c.conn.cfg.Service}
	if c.conn.cfg.Cluster != "" {
		address.Cluster = c.conn.cfg.Cluster // the only one that it may publish for
	}
	if d := t.latest(); d != nil {
		r.Subject, r.Stored = d.msg.Subject(), t.id.stored
		original, err := c.conn.blobs.Put(ctx, c.rejectedPrefix(), original(d.msg))
		if err != nil {
			return events.Draft{}, fmt.Errorf("keep the rejected message: %w", err)
		}
		r.Original = &original
	}
	return events.Draft{Data: r, Address: address, Variant: string(reason)}, nil
}

// rejectedPrefix is where originals lie: among the blobs that the service may
// write.
func (c *Consumer) rejectedPrefix() string {
	place := "rejected"
	if c.conn.cfg.Cluster != "" {
		place = events.EncodeToken(c.conn.cfg.Cluster)
	}
	return blob.Root + "." + events.EncodeToken(c.conn.cfg.Service) + "." + place
}

// original is a message as it came: its body, behind the headers that belong
// to the event where it is in binary mode.
func original(m jetstream.Msg) []byte {
	var names []string
	for name := range m.Headers() {
		if strings.HasPrefix(strings.ToLower(name), "ce-") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return m.Data()
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range append(names, "Content-Type") {
		for _, value := range m.Headers().Values(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	return append([]byte(b.String()+"\r\n"), m.Data()...)
}

// causeOf is the cause that an input is. One that can't be decoded has the id
// of its content.
func causeOf(t *task) events.Cause {
	switch {
	case t.observation != nil:
		cause := t.observation.cause
		cause.Traceparent = t.observation.trace
		return cause
	case t.broken == nil:
		return events.CauseOf(t.in)
	}
	d := t.latest()
	sum := sha256.Sum256(d.msg.Data())
	return events.Cause{ID: fmt.Sprintf("message/%d/%s/%x", t.id.stored, d.msg.Headers().Get(nats.MsgIdHdr), sum[:8])}
}

// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
)

// pullExpires is how long one request for messages stands.
const pullExpires = 30 * time.Second

// room is how many more messages may be taken in hand.
func (s *schedule) room() int {
	return min(maxCounted-s.queues.counted, maxHeld-len(s.queues.held))
}

// pull asks for messages, if there is room and everything is there.
func (s *schedule) pull(ctx context.Context) {
	room := s.room()
	if s.pulling || s.outage != nil || room < 1 || time.Now().Before(s.pullAfter) {
		return
	}
	s.pulling = true
	s.group.Go(func() {
		err := s.pullOnce(ctx, room)
		select {
		case s.pulled <- err:
		case <-ctx.Done():
		}
	})
}

// pullOnce asks for up to n messages and hands them on as they come. It ends
// early when the connection is lost or comes back: the server has forgotten
// the request then, and that is no failure after which to wait. While the
// connection is away nothing is asked: each request that can't be sent would
// leave a subscription behind in the client.
func (s *schedule) pullOnce(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, pullExpires)
	defer cancel()
	changed := s.conn.changed()
	if !s.conn.Connected() {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		return nil
	}
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	batch, err := s.source.Fetch(n, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(2*time.Second))
	if err == nil {
		err = s.handOn(ctx, cancel, batch)
	}
	select {
	case <-changed:
		return nil
	default:
		return err
	}
}

// handOn hands on what comes. What can't be placed any more, as at the end of
// the consumer, is given back at once: left alone it would come again only when
// the server has waited for it. cancel ends the batch.
func (s *schedule) handOn(ctx context.Context, cancel func(), batch jetstream.MessageBatch) error {
	var failed error
	for m := range batch.Messages() {
		var epoch string
		if failed == nil {
			if epoch, failed = s.conn.currentEpoch(ctx); failed != nil {
				cancel()
			}
		}
		if failed != nil {
			s.returnNow(m)
			continue
		}
		select {
		case s.arrivals <- arrival{m, epoch}:
		case <-s.worker.io.Done():
			s.returnNow(m)
		}
	}
	return errors.Join(failed, batch.Error())
}

// returnNow gives a message back, which comes again at once then.
func (s *schedule) returnNow(m jetstream.Msg) {
	if err := m.Nak(); err != nil {
		s.log.Debug("not given back: it comes again by itself", "error", err)
	}
}

// endPull takes note of how a pull ended. One that failed is followed by
// another look at the consumer, with growing delay.
func (s *schedule) endPull(err error) {
	s.pulling = false
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		s.pullDelay = 0
		return
	}
	s.log.Debug("pull ended", "error", err)
	s.pullDelay = min(max(2*s.pullDelay, retryWait), retryMost)
	s.pullAfter = time.Now().Add(s.pullDelay)
}

// arrival is a message and the epoch of the log that it came from.
type arrival struct {
	msg   jetstream.Msg
	epoch string
}

// arrive puts a message into its queue.
func (s *schedule) arrive(a arrival) {
	m := a.msg
	meta, err := m.Metadata()
	if err != nil {
		s.log.Error("a message without metadata is left to the server", "error", err)
		return
	}
	s.follows(meta.Sequence.Consumer, meta.NumPending)
	if meta.NumDelivered == 1 && s.skip(a, meta.Sequence.Stream) {
		return
	}
	t := &task{
		received: time.Now(),
		id:       messageID{meta.Sequence.Stream, meta.Timestamp.UnixNano()},
		delivery: &delivery{m, int(meta.NumDelivered), a.epoch},
	}
	t.in, t.broken = events.Decode(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream)
	if t.broken == nil {
		s.conn.witness.note(a.epoch, t.in.Stored, m.Headers().Get(nats.MsgIdHdr))
		t.broken = reached(t.in, a.epoch)
	}
	if t.broken != nil {
		t.key = ".broken"
		if _, address, err := events.ParseSubject(m.Subject()); err == nil {
			t.in.Address = address
		}
	} else {
		t.key = s.options.Key(t.in)
	}
	s.queues.add(t)
}

// skip acknowledges, unread, an event that is of no matter; false: it is none.
// It has only just come: there was no time for another log, in which its place is
// another event's.
func (s *schedule) skip(a arrival, stored uint64) bool {
	if s.options.Skip == nil {
		return false
	}
	t, address, err := events.ParseSubject(a.msg.Subject())
	if err != nil || !s.options.Skip(t, address) {
		return false
	}
	s.conn.witness.note(a.epoch, stored, a.msg.Headers().Get(nats.MsgIdHdr))
	s.conn.meter.skipped(s.name, t)
	if err := a.msg.Ack(); err != nil {
		s.log.Debug("acknowledgement not heard: the event comes again", "stored", stored, "error", err)
	}
	return true
}

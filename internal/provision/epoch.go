// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// Keys in the log's metadata.
const (
	MetadataEpoch = "plumbline-epoch"
	// metadataFrom is the last place in the log when the epoch began.
	metadataFrom = "plumbline-epoch-from"
)

// Mark is a place in the log: the furthest one that was seen.
type Mark struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`
	// At is when the event at Last was stored, in nanoseconds of Unix time: no
	// other event that is stored there later has the same. 0: not known.
	At int64 `json:"at,omitempty"`
	// ID is that of the event at Last, in its stead; empty: not known.
	ID string `json:"-"`
}

// markOf is where a log is now.
func markOf(config jetstream.StreamConfig, state jetstream.StreamState) Mark {
	m := Mark{Epoch: config.Metadata[MetadataEpoch], Last: state.LastSeq}
	if m.Last > 0 && !state.LastTime.IsZero() {
		m.At = state.LastTime.UnixNano()
	}
	return m
}

// earlier reports whether a log was put back to a state before one of those that
// were seen, by the provisioner or by a service.
func earlier(ctx context.Context, stream jetstream.Stream, info *jetstream.StreamInfo, seen []Mark) (bool, error) {
	for _, mark := range seen {
		if restored(mark, markOf(info.Config, info.State)) {
			return true, nil
		}
		if replaced, err := replaced(ctx, stream, info, mark); replaced || err != nil {
			return replaced, err
		}
	}
	return false, nil
}

// restored reports whether a log that is now at now, and was seen at seen, has
// been put back to an earlier state.
func restored(seen, now Mark) bool { return seen.Epoch == now.Epoch && now.Last < seen.Last }

// replaced reports whether another event than the one that was seen lies at the
// place seen: the log was put back to before it, and has grown past it again,
// as services do that publish before anybody has looked.
func replaced(ctx context.Context, stream jetstream.Stream, info *jetstream.StreamInfo, seen Mark) (bool, error) {
	now := markOf(info.Config, info.State)
	if seen.Epoch != now.Epoch || seen.At == 0 && seen.ID == "" || seen.Last > now.Last {
		return false, nil // [restored] knows
	}
	if seen.Last == now.Last && seen.ID == "" {
		return seen.At != now.At, nil
	}
	m, err := stream.GetMsg(ctx, seen.Last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil // the limits took it: hundreds of newer ones on its subject have come
	}
	if err != nil {
		return false, fmt.Errorf("look at place %d of %s: %w", seen.Last, natsconfig.StreamEvents, err)
	}
	if seen.ID != "" {
		return m.Header.Get(nats.MsgIdHdr) != seen.ID, nil
	}
	return m.Time.UnixNano() != seen.At, nil
}

// emptied reports whether a log whose epoch began after the place from, and
// which has given out places since, holds nothing: its contents are lost. Its
// limits alone never take the last event away.
func emptied(messages, last, from uint64) bool { return messages == 0 && last > from }

// newEpoch returns a random epoch. Epochs have no order.
func newEpoch() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

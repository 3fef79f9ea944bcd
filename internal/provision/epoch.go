// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"crypto/rand"
	"encoding/hex"
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
}

// restored reports whether a log that is now at now, and was seen at seen, has
// been put back to an earlier state.
func restored(seen, now Mark) bool { return seen.Epoch == now.Epoch && now.Last < seen.Last }

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

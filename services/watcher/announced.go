// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/plumbline-dev/plumbline/events"
)

const (
	// maxObjects bounds the objects of one fetch: go-git makes room for as many
	// as a pack announces (32 bytes each) before it has read the first.
	maxObjects = 4 << 20
	// leastEntry is the size of the smallest entry of a pack, in bytes: a byte
	// of type and size, and the least that zlib writes (gitformat-pack).
	leastEntry = 9
	packHeader = 12
)

// countObjects reads what a pack announces in its header, and returns the
// whole pack. A pack whose header is cut is left to who reads it.
func countObjects(pack io.Reader) (io.Reader, error) {
	head := make([]byte, packHeader)
	n, err := io.ReadFull(pack, head)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return bytes.NewReader(head[:n]), nil
	case err != nil:
		return nil, err
	}
	count := int64(binary.BigEndian.Uint32(head[8:]))
	switch {
	case count > DefaultLimits().Pack/leastEntry:
		return nil, refuse(events.ReasonSourceInvalid, nil, "what the server sent is no valid pack: it announces %d objects, which no fetch can have", count)
	case count > maxObjects:
		return nil, tooLarge("the server's pack has %d objects; at most %d are fetched at once", count, maxObjects)
	}
	return io.MultiReader(bytes.NewReader(head), pack), nil
}

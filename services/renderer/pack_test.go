// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // Git's own
	"encoding/binary"
	"io"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
)

// pack writes every object of the repository as a packfile: whole, without
// deltas, and deflated as fast as may be. Packs of the inputs that are large
// would take the tests longer than all that is done with them.
func (r *repo) pack() []byte {
	r.t.Helper()
	var ids []plumbing.Hash
	for id := range r.store.Objects {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i].String() < ids[j].String() })
	var out bytes.Buffer
	out.WriteString("PACK")
	out.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 2), uint32(len(ids)))) //nolint:gosec // few
	deflate, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, id := range ids {
		o := r.store.Objects[id]
		out.Write(entryHead(o.Type(), o.Size()))
		content, err := o.Reader()
		if err != nil {
			r.t.Fatal(err)
		}
		deflate.Reset(&out)
		if _, err := io.Copy(deflate, content); err != nil {
			r.t.Fatal(err)
		}
		if err := deflate.Close(); err != nil {
			r.t.Fatal(err)
		}
	}
	sum := sha1.Sum(out.Bytes()) //nolint:gosec // Git's own
	return append(out.Bytes(), sum[:]...)
}

// entryHead is what stands before an object in a packfile: its type and size, four
// bits of the size and then seven a byte.
func entryHead(kind plumbing.ObjectType, size int64) []byte {
	b := byte(kind)<<4 | byte(size&0x0f)
	var head []byte
	for size >>= 4; size > 0; size >>= 7 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(head, b)
}

// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/sha1" // Git's own
	"encoding/binary"
	"fmt"
)

// withEntry is a pack of all objects and of one entry more, as it is.
func withEntry(o objects, entry []byte) []byte {
	p := append(o.pack(), entry...)
	binary.BigEndian.PutUint32(p[8:], uint32(len(o)+1)) //nolint:gosec // a few
	return p
}

// withBlob adds a blob that says size and has data.
func withBlob(o objects, size int, data []byte) []byte {
	return withEntry(o, append(packHeader(3, size), deflate(data)...))
}

// withZeros adds a blob that says size, and has n bytes.
func withZeros(o objects, size, n int) []byte {
	return withEntry(o, append(packHeader(3, size), deflatedZeros(n)...))
}

// deflatedZeros is what n zeros, of two mebibytes or more, are in zlib's format
// (RFC 1950): one piece again and again, as the race detector would have each
// byte of a hundred million cost ten.
func deflatedZeros(n int) []byte {
	const piece = 1 << 20
	zeros := make([]byte, piece)
	b := bytes.NewBuffer([]byte{0x78, 0x9c})
	w, err := flate.NewWriter(b, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is one
	}
	add := func(data []byte) {
		_, _ = w.Write(data) // a buffer takes all
		_ = w.Flush()
	}
	add(zeros)
	first := b.Len()
	add(zeros)
	again := bytes.Clone(b.Bytes()[first:])
	for range n/piece - 2 {
		b.Write(again)
	}
	add(zeros[:n%piece])
	_ = w.Close()
	return binary.BigEndian.AppendUint32(b.Bytes(), uint32(n%65521)<<16|1) //nolint:gosec // Adler-32 of zeros: 1, and their number
}

// withDelta adds a delta of an object by its id.
func withDelta(o objects, base []byte) []byte {
	delta := append(varint(10), append(varint(1), 1, 'x')...)
	entry := append(packHeader(7, len(delta)), base...)
	return withEntry(o, append(entry, deflate(delta)...))
}

// withOffset adds a delta of what lies no bytes before it: of itself.
func withOffset(o objects) []byte {
	delta := append(varint(10), append(varint(1), 1, 'x')...)
	entry := append(packHeader(6, len(delta)), 0)
	return withEntry(o, append(entry, deflate(delta)...))
}

// deltaBomb adds a chain of deltas, each of which copies the one before twice:
// 16 MiB of zeros become 1 GiB in six steps, in a pack of a few kilobytes.
func deltaBomb(o objects) []byte {
	const steps = 6
	size := 1<<24 - 1 // the most that one copy takes
	data := make([]byte, size)
	p := append(o.pack(), append(packHeader(3, size), deflatedZeros(size)...)...)
	id := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", size), data...)) //nolint:gosec // see the import
	base := id[:]
	for range steps {
		var delta bytes.Buffer
		delta.Write(varint(size))
		delta.Write(varint(2 * size))
		for range 2 {
			for at := 0; at < size; at += 1<<24 - 1 {
				n := min(size-at, 1<<24-1)
				delta.WriteByte(0xff)                                          // copy with all four bytes of offset and three of size
				delta.Write(binary.LittleEndian.AppendUint32(nil, uint32(at))) //nolint:gosec // below 4 GiB
				delta.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
			}
		}
		p = append(p, packHeader(7, delta.Len())...)
		p = append(p, base...)
		p = append(p, deflate(delta.Bytes())...)
		size *= 2
		// The ids of what comes after the first are never computed: whoever
		// follows the chain that far has fallen for it already.
		next := sha1.Sum(fmt.Appendf(nil, "blob %d", size)) //nolint:gosec // see the import
		if size < 1<<27 {
			sum := sha1.New() //nolint:gosec // see the import
			fmt.Fprintf(sum, "blob %d\x00", size)
			sum.Write(make([]byte, size))
			base = sum.Sum(nil)
		} else {
			base = next[:]
		}
	}
	binary.BigEndian.PutUint32(p[8:], uint32(len(o)+1+steps)) //nolint:gosec // a few
	return p
}

// largeEntry is a blob of so many bytes, which isn't compressed.
func largeEntry(size int) []byte {
	var b bytes.Buffer
	b.Write(packHeader(3, size))
	z, err := zlib.NewWriterLevel(&b, zlib.NoCompression)
	if err == nil {
		_, err = z.Write(make([]byte, size))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // neither of a buffer nor of that level
	}
	return b.Bytes()
}

// varint is a size in a delta: seven bits a byte, the lowest first.
func varint(n int) []byte {
	var out []byte
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

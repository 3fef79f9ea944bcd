// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

const (
	// maxObject bounds one object of a fetch, in bytes: go-git holds it, and
	// what it is a delta of, in memory. Git hosts take no larger ones.
	maxObject = 128 << 20
	// leastRoom and maxGrowth bound what all objects of a pack come to: so many
	// bytes, and so many times those that were sent. Each is made once, to
	// compute its id, and nothing else bounds how long that takes. Files of
	// which a history has hundreds of versions stay far below.
	leastRoom = 256 << 20
	maxGrowth = 1000
)

// inspected is a pack whose reader is told of no object before its size was
// looked at. A delta of a few bytes may copy its base a thousand times over,
// and be the base of the next.
type inspected struct {
	pack  io.Reader
	feed  *io.PipeWriter
	found chan error // of the inspector's goroutine, which ends with the feed

	ready, held []byte
	err         error // the end
}

// inspect starts to look at a pack. close ends it.
func inspect(pack io.Reader) *inspected {
	read, feed := io.Pipe()
	i := &inspected{pack: pack, feed: feed, found: make(chan error, 1)}
	go func() {
		sent := &countedReader{in: read}
		err := (&inspector{in: bufio.NewReader(sent), sent: sent}).run()
		if err == nil {
			_, err = io.Copy(io.Discard, read) // the checksum, which go-git verifies
		}
		_ = read.CloseWithError(err) // it never fails
		i.found <- err
		close(i.found)
	}()
	return i
}

// Read passes on what lies before the piece that was read last: the inspector
// takes a piece only when it is done with the one before it.
func (i *inspected) Read(p []byte) (int, error) {
	for len(i.ready) == 0 {
		if i.err != nil {
			return 0, i.err
		}
		if err := i.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, i.ready)
	i.ready = i.ready[n:]
	return n, nil
}

// next reads one piece, has it looked at, and makes the one before it ready; at
// the end, all of it.
func (i *inspected) next() error {
	piece := make([]byte, 32<<10)
	n, err := i.pack.Read(piece)
	piece = piece[:n]
	if n > 0 {
		if _, err := i.feed.Write(piece); err != nil {
			return err
		}
	}
	if err == nil {
		if n > 0 {
			i.ready, i.held = i.held, piece
		}
		return nil
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	_ = i.feed.Close() // it never fails
	if found := <-i.found; found != nil {
		return found
	}
	i.ready, i.held, i.err = append(i.held, piece...), nil, io.EOF
	return nil
}

func (i *inspected) close() { _ = i.feed.Close() }

// inspector reads the entries of a pack (gitformat-pack, version 2) and keeps
// nothing of them.
type inspector struct {
	in    *bufio.Reader
	sent  *countedReader // below in
	zip   io.ReadCloser
	total int64 // bytes of the objects
	// content is of one object at a time: a buffer for each came to more than
	// all that is fetched.
	content bufio.Reader
}

// run ends with the last object. What is no pack is refused by go-git too, and
// in the same words.
func (i *inspector) run() error {
	var head [packHeader]byte
	if _, err := io.ReadFull(i.in, head[:]); err != nil {
		return noPack(err)
	}
	for range binary.BigEndian.Uint32(head[8:]) {
		if err := i.entry(); err != nil {
			return noPack(err)
		}
	}
	return nil
}

func noPack(err error) error {
	var known *sourceError
	if errors.As(err, &known) {
		return err
	}
	return refuse(events.ReasonSourceInvalid, err, "what the server sent is no valid pack")
}

var errEntry = errors.New("an entry is malformed")

func (i *inspector) entry() error {
	kind, size, err := i.header()
	if err != nil {
		return err
	}
	if err := i.reset(); err != nil {
		return err
	}
	i.content.Reset(io.LimitReader(i.zip, size+1))
	made, held := size, int64(0)
	if kind.IsDelta() {
		if made, held, err = deltaTarget(&i.content, size); err != nil {
			return err
		}
	}
	if made < 0 || made > maxObject || size > maxObject {
		return tooLarge("the server's pack has an object of %d bytes; at most %d are fetched", max(made, size), maxObject)
	}
	if i.total += made; i.total > leastRoom+maxGrowth*i.sent.n {
		return tooLarge("the objects of the server's pack come to %d bytes, which is more than %d times what was sent", i.total, maxGrowth)
	}
	n, err := i.content.WriteTo(io.Discard)
	if err != nil {
		return err
	}
	if n+held != size {
		return errEntry
	}
	return nil
}

// header reads type and size, and passes over the base of a delta.
func (i *inspector) header() (plumbing.ObjectType, int64, error) {
	first, err := i.in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind, size := plumbing.ObjectType(first>>4&7), uint64(first&0x0f)
	if first&0x80 != 0 {
		more, err := binary.ReadUvarint(i.in)
		if err != nil || more > 1<<40 {
			return 0, 0, errors.Join(errEntry, err)
		}
		size |= more << 4
	}
	switch kind {
	case plumbing.REFDeltaObject:
		_, err = i.in.Discard(len(plumbing.ZeroHash))
	case plumbing.OFSDeltaObject:
		for b := byte(0x80); err == nil && b&0x80 != 0; {
			b, err = i.in.ReadByte()
		}
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	default:
		err = errEntry
	}
	return kind, int64(size), err //nolint:gosec // at most 1<<44
}

func (i *inspector) reset() (err error) {
	if i.zip == nil {
		i.zip, err = zlib.NewReader(i.in)
		return err
	}
	return i.zip.(zlib.Resetter).Reset(i.in, nil)
}

// deltaTarget is the size of what a delta makes, and how many bytes of the delta
// say so.
func deltaTarget(delta *bufio.Reader, size int64) (made, held int64, err error) {
	c := &countedBytes{in: delta}
	if _, err := binary.ReadUvarint(c); err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(c)
	if err != nil || c.n > size {
		return 0, 0, errors.Join(errEntry, err)
	}
	return int64(min(n, 1<<62)), c.n, nil //nolint:gosec // below 1<<63
}

type countedReader struct {
	in io.Reader
	n  int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

type countedBytes struct {
	in *bufio.Reader
	n  int64
}

func (c *countedBytes) ReadByte() (byte, error) {
	b, err := c.in.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

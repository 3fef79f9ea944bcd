// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

const (
	// Root is the first two tokens of every chunk's subject.
	Root = "plumbline.blob"
	// ChunkSize is how many bytes a chunk holds, except the last.
	ChunkSize = 512 << 10
	// MaxSize is how large a blob may be, in bytes.
	MaxSize = 1 << 30
)

// Headers of every chunk.
const (
	headerDigest = "Plumbline-Digest"
	headerSize   = "Plumbline-Size"
	headerChunks = "Plumbline-Chunks"
)

var (
	// ErrMissing says that a blob, or a chunk of it, isn't there.
	ErrMissing = errors.New("blob is missing")
	// ErrIntegrity says that a blob's bytes don't fit its digest or size.
	ErrIntegrity = errors.New("blob does not fit its digest")
	// ErrExists says that another body is there under the name.
	ErrExists = errors.New("another blob has this name")
	// ErrName says that what names a blob is no blob's name.
	ErrName = errors.New("no blob's name")
)

// Wire is what a [Store] needs of a connection. Both wait for the bus, for as
// long as their context lasts.
type Wire interface {
	// Write stores a message and waits until the server has it on disk. It
	// reports whether the subject held one already, which then stays.
	Write(ctx context.Context, m *nats.Msg) (exists bool, err error)
	// Read returns the last message on a subject of a stream by Direct Get,
	// nil where there is none.
	Read(ctx context.Context, stream, subject string) (*nats.Msg, error)
}

// Store reads and writes blobs. It is safe for concurrent use.
type Store struct{ wire Wire }

// New returns a store over w.
func New(w Wire) *Store { return &Store{w} }

// Put writes data under <prefix>.<sha256 of data>. Equal data is sent once.
func (s *Store) Put(ctx context.Context, prefix string, data []byte) (events.Blob, error) {
	sum := sha256.Sum256(data)
	return s.PutNamed(ctx, prefix+"."+hex.EncodeToString(sum[:]), data)
}

// PutNew is [Store.Put] of what is most likely not there yet: it is sent without
// being looked for. What is there stays: it was sent in vain then,
// at most a chunk of it.
func (s *Store) PutNew(ctx context.Context, prefix string, data []byte) (events.Blob, error) {
	sum := sha256.Sum256(data)
	name := prefix + "." + hex.EncodeToString(sum[:])
	if len(data) > ChunkSize {
		return s.PutNamed(ctx, name, data)
	}
	if err := checkName(name); err != nil {
		return events.Blob{}, err
	}
	b := describe(name, data)
	if err := s.putChunk(ctx, b, 0, data); err != nil {
		return events.Blob{}, fmt.Errorf("put blob %s: %w", name, err)
	}
	return b, nil
}

// PutNamed writes data under a name that stands for its content, such as an
// HMAC of it: what is there under the name stays, and if it is whole it is
// returned and nothing is sent. Its error wraps [ErrExists] where a part of
// another body is in the way.
func (s *Store) PutNamed(ctx context.Context, name string, data []byte) (events.Blob, error) {
	if err := checkName(name); err != nil {
		return events.Blob{}, err
	}
	if len(data) > MaxSize {
		return events.Blob{}, fmt.Errorf("put blob %s: %d bytes are over the limit of %d", name, len(data), MaxSize)
	}
	there, err := s.Stat(ctx, name)
	if err == nil {
		return there, nil
	}
	if !errors.Is(err, ErrMissing) {
		return events.Blob{}, err
	}
	b := describe(name, data)
	for i := range b.Chunks {
		if err := s.putChunk(ctx, b, i, data[i*ChunkSize:min((i+1)*ChunkSize, len(data))]); err != nil {
			return events.Blob{}, fmt.Errorf("put blob %s: %w", name, err)
		}
	}
	return b, nil
}

// putChunk writes one chunk. One that is there already is the remains of a
// write that broke off, or a race with an equal one: both are ours if they
// are of the same body.
func (s *Store) putChunk(ctx context.Context, b events.Blob, i int, data []byte) error {
	m := nats.NewMsg(chunk(b.Name, i))
	m.Header.Set(headerDigest, b.Digest)
	m.Header.Set(headerSize, strconv.FormatInt(b.Size, 10))
	m.Header.Set(headerChunks, strconv.Itoa(b.Chunks))
	m.Data = data
	for {
		exists, err := s.wire.Write(ctx, m)
		if err != nil || !exists {
			return err
		}
		there, err := s.wire.Read(ctx, natsconfig.StreamBlobs, m.Subject)
		switch {
		case err != nil:
			return err
		case there == nil: // swept in between
			continue
		case there.Header.Get(headerDigest) != b.Digest:
			return fmt.Errorf("chunk %d: %w", i, ErrExists)
		}
		return nil
	}
}

// Stat describes the blob under a name. Its error wraps [ErrMissing] unless
// the whole of it is there.
func (s *Store) Stat(ctx context.Context, name string) (events.Blob, error) {
	if err := checkName(name); err != nil {
		return events.Blob{}, err
	}
	first, err := s.chunk(ctx, name, 0)
	if err != nil {
		return events.Blob{}, fmt.Errorf("stat blob %s: %w", name, err)
	}
	b, err := describedBy(name, first)
	if err != nil {
		return events.Blob{}, fmt.Errorf("stat blob %s: %w", name, err)
	}
	if b.Chunks > 1 {
		if _, err := s.chunk(ctx, name, b.Chunks-1); err != nil {
			return events.Blob{}, fmt.Errorf("stat blob %s: %w", name, err)
		}
	}
	return b, nil
}

// Has reports whether the whole of a blob is there.
func (s *Store) Has(ctx context.Context, b events.Blob) (bool, error) {
	there, err := s.Stat(ctx, b.Name)
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil && there == b, err
}

// Get returns a blob's bytes. Its error wraps [ErrMissing], [ErrIntegrity] or [ErrName].
func (s *Store) Get(ctx context.Context, b events.Blob) ([]byte, error) {
	data, err := s.get(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("get blob %s: %w", b.Name, err)
	}
	return data, nil
}

func (s *Store) get(ctx context.Context, b events.Blob) ([]byte, error) {
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Size < 0 || b.Size > MaxSize || b.Chunks != chunks(b.Size) {
		return nil, fmt.Errorf("%w: %d bytes in %d chunks", ErrIntegrity, b.Size, b.Chunks)
	}
	data := make([]byte, 0, min(b.Size, 16*ChunkSize))
	for i := range b.Chunks {
		m, err := s.chunk(ctx, b.Name, i)
		if err != nil {
			return nil, err
		}
		data = append(data, m.Data...)
		if int64(len(data)) > b.Size {
			break
		}
	}
	if describe(b.Name, data) != b {
		return nil, ErrIntegrity
	}
	return data, nil
}

func (s *Store) chunk(ctx context.Context, name string, i int) (*nats.Msg, error) {
	m, err := s.wire.Read(ctx, natsconfig.StreamBlobs, chunk(name, i))
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", i, err)
	}
	if m == nil {
		return nil, fmt.Errorf("chunk %d: %w", i, ErrMissing)
	}
	return m, nil
}

func chunk(name string, i int) string { return name + "." + strconv.Itoa(i) }

// chunks is how many chunks size bytes take; an empty body takes one.
func chunks(size int64) int { return int(max(1, (size+ChunkSize-1)/ChunkSize)) }

func describe(name string, data []byte) events.Blob {
	sum := sha256.Sum256(data)
	return events.Blob{
		Name:   name,
		Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Size:   int64(len(data)),
		Chunks: chunks(int64(len(data))),
	}
}

// describedBy reads the headers of a chunk.
func describedBy(name string, m *nats.Msg) (events.Blob, error) {
	size, err := strconv.ParseInt(m.Header.Get(headerSize), 10, 64)
	b := events.Blob{Name: name, Digest: m.Header.Get(headerDigest), Size: size, Chunks: chunks(size)}
	if err != nil || size < 0 || size > MaxSize || b.Digest == "" || m.Header.Get(headerChunks) != strconv.Itoa(b.Chunks) {
		return events.Blob{}, fmt.Errorf("%w: its headers contradict each other", ErrIntegrity)
	}
	return b, nil
}

// checkName refuses what is no subject below [Root]: a name comes with an
// event, and a wildcard in it would read another blob.
func checkName(name string) error {
	rest, ok := strings.CutPrefix(name, Root+".")
	if !ok {
		return fmt.Errorf("%q: %w: want %s.<writer>...<name>", name, ErrName, Root)
	}
	for token := range strings.SplitSeq(rest, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return !tokenRune(r) }) {
			return fmt.Errorf("%q: %w: want tokens of letters, digits, '-' and '_'", name, ErrName)
		}
	}
	return nil
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

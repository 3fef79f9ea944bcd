// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" // Git's own checksum of a pack; integrity is the blob's sha256
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/plumbline-dev/plumbline/events"
)

// Limits bound what one repository may cost.
type Limits struct {
	Pack  int64 // bytes of one fetch
	Tree  int64 // bytes of all files of a commit
	File  int64 // bytes of one file
	Files int   // files and directories of a commit
	Depth int   // of directories
}

// DefaultLimits are far above what declares clusters, and below what a
// process of a few hundred MiB can hold.
func DefaultLimits() Limits {
	return Limits{Pack: 1 << 30, Tree: 128 << 20, File: 16 << 20, Files: 50_000, Depth: 100}
}

// sourcePack is a packfile (gitformat-pack, version 2) of a root tree and of
// every tree and blob that it reaches, ordered by object id and without
// deltas, so that equal trees give equal bytes. Submodules are not part of
// it. Every object's id is computed again; a difference is [errDamaged].
func sourcePack(ctx context.Context, store storer.EncodedObjectStorer, root plumbing.Hash, limits Limits) ([]byte, error) {
	p := &packer{store: store, limits: limits, objects: map[plumbing.Hash]packed{}}
	if err := p.tree(ctx, root, 0); err != nil {
		return nil, err
	}
	return p.write()
}

type packed struct {
	kind    plumbing.ObjectType
	content []byte
}

type packer struct {
	store   storer.EncodedObjectStorer
	limits  Limits
	objects map[plumbing.Hash]packed
	entries int
	bytes   int64
}

// tree gathers a tree and what is below it. Entries count as often as they
// are reached, so that a few trees can't spell out an endless one.
func (p *packer) tree(ctx context.Context, id plumbing.Hash, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > p.limits.Depth {
		return tooLarge("its directories are nested deeper than %d", p.limits.Depth)
	}
	if err := p.object(id, plumbing.TreeObject); err != nil {
		return err
	}
	tree, err := decodeTree(id, p.objects[id].content)
	if err != nil {
		return err
	}
	for _, entry := range tree.Entries {
		if p.entries++; p.entries > p.limits.Files {
			return tooLarge("it has more than %d files and directories", p.limits.Files)
		}
		switch entry.Mode {
		case filemode.Dir:
			err = p.tree(ctx, entry.Hash, depth+1)
		case filemode.Submodule:
			continue
		default:
			err = p.object(entry.Hash, plumbing.BlobObject)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func decodeTree(id plumbing.Hash, content []byte) (*object.Tree, error) {
	encoded := &plumbing.MemoryObject{}
	encoded.SetType(plumbing.TreeObject)
	if _, err := encoded.Write(content); err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
	tree := &object.Tree{}
	if err := tree.Decode(encoded); err != nil {
		return nil, refuse(events.ReasonSourceInvalid, err, "the tree %s is malformed; git fsck names what is wrong", id)
	}
	return tree, checkNames(id, tree)
}

// checkNames refuses names that no file can have, and two entries of one name,
// of which each reader takes another: nothing good makes them.
func checkNames(id plumbing.Hash, tree *object.Tree) error {
	seen := make(map[string]bool, len(tree.Entries))
	for _, e := range tree.Entries {
		switch {
		case e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00"):
			return refuse(events.ReasonSourceInvalid, nil, "the tree %s has an entry with a name that no file can have; git fsck names what is wrong", id)
		case seen[e.Name]:
			return refuse(events.ReasonSourceInvalid, nil, "the tree %s has two entries of one name; git fsck names what is wrong", id)
		}
		seen[e.Name] = true
	}
	return nil
}

func (p *packer) object(id plumbing.Hash, kind plumbing.ObjectType) error {
	if _, ok := p.objects[id]; ok {
		return nil
	}
	encoded, err := p.store.EncodedObject(kind, id)
	if err != nil {
		return fmt.Errorf("%w: %s %s: %w", errDamaged, kind, id, err)
	}
	if encoded.Size() > p.limits.File {
		return tooLarge("it has a file of %d bytes; the limit is %d", encoded.Size(), p.limits.File)
	}
	if p.bytes += encoded.Size(); p.bytes > p.limits.Tree {
		return tooLarge("its files have more than %d bytes", p.limits.Tree)
	}
	reader, err := encoded.Reader()
	if err != nil {
		return fmt.Errorf("%w: %s %s: %w", errDamaged, kind, id, err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		return fmt.Errorf("%w: %s %s: %w", errDamaged, kind, id, err)
	}
	if plumbing.ComputeHash(kind, content) != id {
		return fmt.Errorf("%w: %s %s has other content", errDamaged, kind, id)
	}
	p.objects[id] = packed{kind, content}
	return nil
}

func (p *packer) write() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("PACK")
	out.Write(binary.BigEndian.AppendUint32(nil, 2))
	out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p.objects)))) // bounded by Limits.Files
	ids := slices.SortedFunc(maps.Keys(p.objects), func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	// One for all entries: a compressor takes most of a megabyte, an entry is
	// most often a few hundred bytes.
	// What is small gains little by more than the least compression.
	w, err := zlib.NewWriterLevel(&out, zlib.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	for _, id := range ids {
		o := p.objects[id]
		out.Write(entryHeader(o.kind, uint64(len(o.content))))
		w.Reset(&out)
		if _, err := w.Write(o.content); err != nil {
			return nil, fmt.Errorf("pack: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("pack: %w", err)
		}
	}
	sum := sha1.Sum(out.Bytes()) //nolint:gosec // see the import
	out.Write(sum[:])
	return out.Bytes(), nil
}

// entryHeader is type and size of an entry, seven bits a byte, the first byte
// with four bits of the size.
func entryHeader(kind plumbing.ObjectType, size uint64) []byte {
	first := byte(kind)<<4 | byte(size&0x0f)
	header := []byte{first}
	for size >>= 4; size > 0; size >>= 7 {
		header[len(header)-1] |= 0x80
		header = append(header, byte(size&0x7f))
	}
	return header
}

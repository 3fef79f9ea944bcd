// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" // Git's own
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// object is one object of Git.
type object struct {
	kind string
	data []byte
}

// objects are objects of Git by id. Git itself refuses to write most of what
// the corpus is about.
type objects map[string]object

func (o objects) add(kind string, data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "%s %d\x00", kind, len(data)), data...)) //nolint:gosec // see the import
	id := hex.EncodeToString(sum[:])
	o[id] = object{kind, data}
	return id
}

// tree adds the entries as nested trees and returns the root's id.
func (o objects) tree(entries []Entry) string {
	type entry struct{ mode, name, id string }
	var here []entry
	below := map[string][]Entry{}
	for _, e := range entries {
		folder, rest, nested := strings.Cut(e.Path, "/")
		switch {
		case nested:
			below[folder] = append(below[folder], Entry{rest, e.Mode, e.Data})
		case e.Mode == "160000":
			here = append(here, entry{e.Mode, e.Path, string(e.Data)})
		default:
			here = append(here, entry{e.Mode, e.Path, o.add("blob", e.Data)})
		}
	}
	for folder, entries := range below {
		here = append(here, entry{"40000", folder, o.tree(entries)})
	}
	slices.SortFunc(here, func(a, b entry) int {
		sortable := func(e entry) string {
			if e.mode == "40000" {
				return e.name + "/" // as Git orders folders
			}
			return e.name
		}
		return strings.Compare(sortable(a), sortable(b))
	})
	var b bytes.Buffer
	for _, e := range here {
		writeEntry(&b, e.mode, e.name, e.id)
	}
	return o.add("tree", b.Bytes())
}

func writeEntry(b *bytes.Buffer, mode, name, id string) {
	raw, err := hex.DecodeString(id)
	if err != nil {
		panic(err) // an id of our own, or one of the corpus that is wrong
	}
	fmt.Fprintf(b, "%s %s\x00", mode, name)
	b.Write(raw)
}

const signature = "Ada <ada@example.com> 1790000000 +0000"

// commit adds a commit of a tree.
func (o objects) commit(tree, message string, parents ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", signature, signature, message)
	return o.add("commit", []byte(b.String()))
}

// idle are zlib writers to write again: one takes a megabyte, most objects a few
// bytes, and there are ten thousands of them. They don't look far for what they
// have seen, as the race detector would have each byte cost ten.
var idle = make(chan *zlib.Writer, 4)

func deflate(data []byte) []byte {
	var w *zlib.Writer
	select {
	case w = <-idle:
	default:
		var err error
		if w, err = zlib.NewWriterLevel(nil, zlib.BestSpeed); err != nil {
			panic(err) // the level is one
		}
	}
	var b bytes.Buffer
	w.Reset(&b)
	_, _ = w.Write(data) // a buffer takes all
	_ = w.Close()
	select {
	case idle <- w:
	default:
	}
	return b.Bytes()
}

// write writes the objects and refs into a bare repository.
func (o objects) write(bare string, refs map[string]string) error {
	for id, obj := range o {
		path := filepath.Join(bare, "objects", id[:2], id[2:])
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := deposit(bare, path, deflate(append(fmt.Appendf(nil, "%s %d\x00", obj.kind, len(obj.data)), obj.data...))); err != nil {
			return err
		}
	}
	for ref, id := range refs {
		path := filepath.Join(bare, filepath.FromSlash(ref))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := deposit(bare, path, []byte(id+"\n")); err != nil {
			return err
		}
	}
	return nil
}

// deposit writes a file of a repository that is being read meanwhile: it is there as a
// whole, or not at all.
func deposit(bare, path string, data []byte) error {
	f, err := os.CreateTemp(bare, "deposit")
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

var packKinds = map[string]byte{"commit": 1, "tree": 2, "blob": 3, "tag": 4}

// pack is a pack of all objects, without its checksum.
func (o objects) pack() []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	b.Write(binary.BigEndian.AppendUint32(nil, 2))
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(o)))) //nolint:gosec // a few
	for _, obj := range o {
		b.Write(packHeader(packKinds[obj.kind], len(obj.data)))
		b.Write(deflate(obj.data))
	}
	return b.Bytes()
}

// packHeader is kind and size of an entry of a pack.
func packHeader(kind byte, size int) []byte {
	out := []byte{kind<<4 | byte(size&0x0f)}
	for size >>= 4; size > 0; size >>= 7 {
		out[len(out)-1] |= 0x80
		out = append(out, byte(size&0x7f))
	}
	return out
}

// summed is a pack with its checksum.
func summed(pack []byte) []byte {
	sum := sha1.Sum(pack) //nolint:gosec // see the import
	return append(bytes.Clone(pack), sum[:]...)
}

// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// kind is what a path of a tree is, links followed.
type kind byte

const (
	kindMissing   kind = 'm'
	kindFile      kind = 'f'
	kindDirectory kind = 'd'
	kindSubmodule kind = 's'
	kindOutside   kind = 'o' // the path, or a link on it, leaves the tree
	kindLoop      kind = 'l' // links on it never end
	kindLink      kind = 'k' // in listings only: not followed yet
	kindTooLarge  kind = 'x' // a file over the limit; only reads tell
)

// operation is what can be asked of a tree.
type operation byte

const (
	opStat operation = 's' // what a path is
	opRead operation = 'r' // the bytes of a file
	opList operation = 'l' // names and kinds of what is in a directory
)

// answer is what a tree says to a question. Path is where the links on the
// asked path lead.
type answer struct {
	Kind    kind
	Path    string
	Data    []byte
	Entries []dirEntry

	// digest identifies the answer: two equal ones mean the same to who asked.
	digest string
}

type dirEntry struct {
	Name string
	Kind kind
}

// maxLinks is how many symbolic links one look-up follows, as Linux does
// (path_resolution(7)).
const maxLinks = 40

// maxPath is the longest path that a look-up may lead to, in bytes.
const maxPath = 32 << 10

// tree reads one Git tree by object id. It never sees a file of the machine.
// It is safe for concurrent use.
type tree struct {
	store *memory.Storage
	root  plumbing.Hash
	size  int64 // of its objects, decoded

	mu          sync.Mutex
	directories map[plumbing.Hash]map[string]object.TreeEntry
}

func newTree(store *memory.Storage, root plumbing.Hash, size int64) *tree {
	return &tree{store: store, root: root, size: size, directories: map[plumbing.Hash]map[string]object.TreeEntry{}}
}

// directory decodes a tree object. A name that no file can have is refused:
// nothing good makes one.
func (t *tree) directory(id plumbing.Hash) (map[string]object.TreeEntry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d, ok := t.directories[id]; ok {
		return d, nil
	}
	decoded, err := object.GetTree(t.store, id)
	if err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", errSource, id, err)
	}
	d := make(map[string]object.TreeEntry, len(decoded.Entries))
	for _, e := range decoded.Entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") {
			return nil, fmt.Errorf("%w: tree %s has an entry with a name that no file can have", errSource, id)
		}
		d[e.Name] = e
	}
	t.directories[id] = d
	return d, nil
}

func (t *tree) blob(id plumbing.Hash) ([]byte, error) {
	o, err := t.store.EncodedObject(plumbing.BlobObject, id)
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", errSource, id, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", errSource, id, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", errSource, id, err)
	}
	return data, nil
}

// ask answers one question. An error means that the source itself is broken;
// everything that a file can do wrong is an answer.
func (t *tree) ask(op operation, name string) (answer, error) {
	e, resolved, k, err := t.resolve(name)
	if err != nil {
		return answer{}, err
	}
	a := answer{Kind: k, Path: resolved}
	switch {
	case op == opRead && k == kindFile:
		err = t.read(&a, e)
	case op == opList && k == kindDirectory:
		err = t.list(&a, e)
	default:
		a.digest = string(k) + " " + resolved
	}
	return a, err
}

func (t *tree) read(a *answer, e object.TreeEntry) error {
	data, err := t.blob(e.Hash)
	if err != nil {
		return err
	}
	if len(data) > manifest.MaxFile {
		a.Kind, data = kindTooLarge, nil
	}
	a.Data = data
	a.digest = fileDigest(a.Path, e.Hash)
	return nil
}

func fileDigest(resolved string, id plumbing.Hash) string {
	return string(kindFile) + " " + resolved + " " + id.String()
}

// identify is the digest of the answer to a question, without its content.
func (t *tree) identify(op operation, name string) (string, error) {
	if op == opRead {
		e, resolved, k, err := t.resolve(name)
		if err == nil && k == kindFile {
			return fileDigest(resolved, e.Hash), nil
		}
	}
	a, err := t.ask(op, name)
	return a.digest, err
}

func (t *tree) list(a *answer, e object.TreeEntry) error {
	d, err := t.directory(e.Hash)
	if err != nil {
		return err
	}
	for name, e := range d {
		a.Entries = append(a.Entries, dirEntry{name, kindOf(e.Mode)})
	}
	slices.SortFunc(a.Entries, func(x, y dirEntry) int { return strings.Compare(x.Name, y.Name) })
	h := sha256.New()
	for _, e := range a.Entries {
		h.Write([]byte{byte(e.Kind)})
		h.Write([]byte(e.Name))
		h.Write([]byte{0})
	}
	a.digest = "d " + a.Path + " " + hex.EncodeToString(h.Sum(nil))
	return nil
}

func kindOf(m filemode.FileMode) kind {
	switch m {
	case filemode.Dir:
		return kindDirectory
	case filemode.Symlink:
		return kindLink
	case filemode.Submodule:
		return kindSubmodule
	default:
		return kindFile
	}
}

// resolve follows a path from the root. Symbolic links count from where they
// are, as in a checkout; the root has no parent.
func (t *tree) resolve(name string) (object.TreeEntry, string, kind, error) {
	rest := split(name)
	at := []object.TreeEntry{{Mode: filemode.Dir, Hash: t.root}} // the directories entered
	links := 0
	for i := 0; len(rest) > 0; i++ {
		part := rest[0]
		rest = rest[1:]
		here := at[len(at)-1]
		if part == ".." {
			if len(at) == 1 {
				return here, "", kindOutside, nil
			}
			at = at[:len(at)-1]
			continue
		}
		if here.Mode == filemode.Submodule {
			return here, trail(at), kindSubmodule, nil
		}
		if here.Mode != filemode.Dir {
			return here, trail(at) + "/" + part, kindMissing, nil
		}
		d, err := t.directory(here.Hash)
		if err != nil {
			return here, "", kindMissing, err
		}
		e, ok := d[part]
		if !ok {
			return here, path.Join(trail(at), part), kindMissing, nil
		}
		if e.Mode != filemode.Symlink {
			at = append(at, e)
			continue
		}
		if links++; links > maxLinks {
			return here, "", kindLoop, nil
		}
		target, err := t.blob(e.Hash)
		if err != nil {
			return here, "", kindMissing, err
		}
		if len(target) > 4096 || path.IsAbs(string(target)) {
			return here, "", kindOutside, nil
		}
		rest = append(split(string(target)), rest...)
	}
	last, resolved := at[len(at)-1], trail(at)
	if len(resolved) > maxPath {
		return last, "", kindLoop, nil
	}
	return last, resolved, kindOf(last.Mode), nil
}

// trail is the path of the last of the entered directories.
func trail(at []object.TreeEntry) string {
	if len(at) == 1 {
		return "."
	}
	names := make([]string, 0, len(at)-1)
	for _, e := range at[1:] {
		names = append(names, e.Name)
	}
	return strings.Join(names, "/")
}

// split cuts a path into its parts, without the ones that mean nothing.
func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(p string) bool { return p == "" || p == "." })
}

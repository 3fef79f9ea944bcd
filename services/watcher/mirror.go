// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

const (
	// maxPacks is how many fetches a mirror gathers before it is cloned anew:
	// each look-up tries each pack.
	maxPacks = 50
	// objectCache is what a mirror keeps of its objects in memory.
	objectCache = 8 << 20
	// openPacks is how many packs of a mirror stay open: else each object opens
	// its own, and resolves the path to it.
	openPacks = 4
	// tipPrefix holds the commits that were fetched, by their id: the names
	// that a server gives to its refs never reach the file system.
	tipPrefix = "refs/tips/"
)

// errDamaged says that a mirror lacks what it has to have, or has it wrong.
// The mirror is rebuilt.
var errDamaged = errors.New("the mirror is damaged")

// mirror is a bare repository on local disk that holds what was fetched from
// one remote. Losing it costs one clone. It has one owner.
//
//	root/repo   the repository; a pack in it is complete
//	root/new-*  a clone in the making, or what one replaced
type mirror struct {
	root  string
	store *filesystem.Storage
	// keep are commits that are kept while they are not at a ref any more.
	keep map[plumbing.Hash]bool
	// received counts the bytes of all packs that came.
	received int64
}

// openMirror opens or makes the mirror in root, and cleans up what a killed
// process left.
func openMirror(root string) (*mirror, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	m := &mirror{root: root}
	if err := m.clean(); err != nil {
		return nil, err
	}
	return m, m.open()
}

func (m *mirror) dir() string { return filepath.Join(m.root, "repo") }

// clean removes unfinished clones and unfinished packs.
func (m *mirror) clean() error {
	for _, pattern := range []string{
		filepath.Join(m.root, "new-*"),
		filepath.Join(m.dir(), "objects", "pack", "tmp_*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
		}
	}
	return nil
}

// open makes the repository where there is none, in one rename.
func (m *mirror) open() error {
	if _, err := os.Stat(m.dir()); errors.Is(err, fs.ErrNotExist) {
		temp, err := m.blank()
		if err != nil {
			return err
		}
		if err := os.Rename(temp, m.dir()); err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
	}
	m.store = storage(m.dir())
	return nil
}

func storage(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(objectCache),
		filesystem.Options{MaxOpenDescriptors: openPacks})
}

// blank is a new empty repository beside the mirror.
func (m *mirror) blank() (string, error) {
	temp, err := os.MkdirTemp(m.root, "new-*")
	if err != nil {
		return "", fmt.Errorf("mirror: %w", err)
	}
	store := storage(temp)
	head := plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.Main)
	if err := errors.Join(store.Init(), store.SetReference(head)); err != nil {
		return "", fmt.Errorf("mirror: %w", err)
	}
	return temp, nil
}

// reset throws everything away and begins anew.
func (m *mirror) reset() error {
	if err := errors.Join(m.close(), os.RemoveAll(m.dir())); err != nil {
		return fmt.Errorf("reset the mirror: %w", err)
	}
	return m.open()
}

func (m *mirror) close() error { return m.store.Close() }

// known says whether a commit, and so everything that it reaches, is there:
// what was fetched was complete.
func (m *mirror) known(commit plumbing.Hash) bool {
	return m.store.HasEncodedObject(commit) == nil
}

func tipRef(commit plumbing.Hash) plumbing.ReferenceName {
	return plumbing.ReferenceName(tipPrefix + commit.String())
}

// tips are the commits that were fetched.
func (m *mirror) tips() ([]plumbing.Hash, error) {
	iter, err := m.store.IterReferences()
	if errors.Is(err, dotgit.ErrEmptyRefFile) { // who wrote it was killed, or the disk was full
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	var tips []plumbing.Hash
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if strings.HasPrefix(ref.Name().String(), tipPrefix) {
			tips = append(tips, ref.Hash())
		}
		return nil
	})
	return tips, err
}

// settle makes those commits the tips, and forgets the others: what they alone
// reach goes with the next clone. A forgotten tip stays known until then.
func (m *mirror) settle(tips map[plumbing.Hash]bool) error {
	have, err := m.tips()
	if err != nil {
		return err
	}
	for _, tip := range have {
		if !tips[tip] {
			err = errors.Join(err, m.store.RemoveReference(tipRef(tip)))
		}
	}
	for tip := range tips {
		if !slices.Contains(have, tip) {
			err = errors.Join(err, m.store.SetReference(plumbing.NewHashReference(tipRef(tip), tip)))
		}
	}
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}

// target is a commit to have and the id to ask the server for: an annotated
// tag is asked for itself.
type target struct{ commit, ask plumbing.Hash }

// fetch brings the targets that are missing, with everything that they reach,
// from an open session. A mirror with too many packs is cloned anew beside
// itself, with all targets, and swapped.
func (m *mirror) fetch(ctx context.Context, s session, l listing, all []target) error {
	missing := slices.DeleteFunc(slices.Clone(all), func(t target) bool { return m.known(t.commit) })
	if len(missing) == 0 {
		return nil
	}
	if err := failpoint.Hit(failpoint.WatcherBeforeFetch); err != nil {
		return err
	}
	packs, err := m.store.ObjectPacks()
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if len(packs) >= maxPacks {
		return m.renew(ctx, s, l, all)
	}
	haves, err := m.haves(l)
	if err != nil {
		return err
	}
	n, err := receive(ctx, m.store, s, l, missing, haves)
	m.received += n
	if err != nil {
		return errors.Join(err, m.clean())
	}
	return nil
}

// renew clones beside the mirror and swaps. The mirror stays as it is until
// the clone is complete.
func (m *mirror) renew(ctx context.Context, s session, l listing, all []target) error {
	temp, err := m.blank()
	if err != nil {
		return err
	}
	store := storage(temp)
	n, err := receive(ctx, store, s, l, all, nil)
	m.received += n
	if err == nil {
		err = m.carry(store)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	old := filepath.Join(m.root, "new-old")
	err = errors.Join(m.close(), os.RemoveAll(old), os.Rename(m.dir(), old), os.Rename(temp, m.dir()), os.RemoveAll(old))
	if err != nil {
		return fmt.Errorf("swap the mirror: %w", err)
	}
	return m.open()
}

// receive writes the pack of wants into store. The pack's checksum and every
// object's id are computed from what was received: an object can't be there
// under another's id.
func receive(ctx context.Context, store *filesystem.Storage, s session, l listing, targets []target, haves []plumbing.Hash) (n int64, err error) {
	var wants []plumbing.Hash
	for _, t := range targets {
		if !slices.Contains(wants, t.ask) {
			wants = append(wants, t.ask)
		}
	}
	pack, err := fetch(ctx, s, l, wants, haves)
	if err != nil {
		return 0, err
	}
	defer func() { _ = pack.Close() }() // what matters of it was read
	counted, err := countObjects(pack)
	if err != nil {
		return 0, cmp.Or(ctx.Err(), received(err))
	}
	w, err := store.PackfileWriter()
	if err != nil {
		return 0, fmt.Errorf("mirror: %w", err)
	}
	looked := inspect(counted)
	defer looked.close()
	n, copyErr := io.Copy(w, looked)
	if copyErr == nil {
		copyErr = failpoint.Hit(failpoint.WatcherMidFetch)
	}
	closeErr := w.Close() // indexes, and so checks, the pack
	switch {
	case copyErr != nil && ctx.Err() != nil:
		return n, ctx.Err()
	case copyErr != nil:
		return n, received(copyErr)
	case closeErr != nil:
		return n, received(closeErr)
	}
	for _, t := range targets {
		if store.HasEncodedObject(t.commit) != nil {
			return n, refuse(events.ReasonSourceInvalid, nil, "the server's pack lacks the commit %s", t.commit)
		}
	}
	return n, nil
}

func received(err error) error {
	var known *sourceError
	var path *fs.PathError
	if errors.As(err, &known) || errors.As(err, &path) {
		return err
	}
	return refuse(events.ReasonSourceInvalid, err, "what the server sent is no valid pack")
}

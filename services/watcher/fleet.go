// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

const (
	// maxFleet bounds the bytes of a fleet's declarations.
	maxFleet = 64 << 20
	// maxFleetPath bounds the path of a declaration, which events carry.
	maxFleetPath = 1024 // bytes
	// maxRecall is how many commits of the fleet's history are read to learn
	// what was declared before, where nothing else knows.
	maxRecall = 200
)

// readFleet reads and judges the declarations of one commit. A folder that is
// missing is an error: it is no empty fleet.
func readFleet(ctx context.Context, m *mirror, commit plumbing.Hash, folder string, reader fleet.Reader) (fleet.Result, error) {
	id, err := newLookup(m).at(commit, folder)
	if err != nil {
		return fleet.Result{}, err
	}
	tree, err := object.GetTree(m.store, id)
	if id.IsZero() || errors.Is(err, plumbing.ErrObjectNotFound) {
		return fleet.Result{}, refuse(events.ReasonPathMissing, nil,
			"commit %.12s of the fleet has no folder %s; everything stays as it was declared before", commit, folder)
	}
	if err != nil {
		return fleet.Result{}, fmt.Errorf("%w: fleet: %w", errDamaged, err)
	}
	if len(tree.Entries) == 0 { // only a root can be: Git keeps no empty folder
		return fleet.Result{}, refuse(events.ReasonPathMissing, nil,
			"commit %.12s of the fleet is empty; everything stays as it was declared before", commit)
	}
	files, err := readFiles(ctx, m, tree, commit, folder)
	if err != nil {
		return fleet.Result{}, err
	}
	return reader.Parse(files), nil
}

// readFiles reads the files of a folder that hold declarations, with their
// paths from the root of the repository. What lies in a hidden folder is not
// read; a symbolic link or a submodule isn't either, and has a fault where a
// declaration may be behind it.
func readFiles(ctx context.Context, m *mirror, tree *object.Tree, commit plumbing.Hash, folder string) ([]fleet.File, error) {
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	var files []fleet.File
	var size int64
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: fleet: %w", errDamaged, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := fleet.File{Path: strings.TrimPrefix(folder+"/"+name, "./")}
		if f.Fault, err = m.fault(commit, folder, name, entry); err != nil {
			return nil, err
		}
		if f.Fault == "" && (!isFile(entry.Mode) || !fleet.IsDeclaration(name)) {
			continue
		}
		if len(f.Path) > maxFleetPath {
			return nil, refuse(events.ReasonSourceInvalid, nil, "the fleet has a file whose path has %d bytes, and at most %d are allowed", len(f.Path), maxFleetPath)
		}
		if f.Fault == "" {
			if f.Data, err = m.declarations(entry.Hash); err != nil {
				return nil, err
			}
			if size += int64(len(f.Data)); size > maxFleet {
				return nil, tooLarge("the fleet's declarations have more than %d bytes", maxFleet)
			}
		}
		files = append(files, f)
	}
}

func isFile(mode filemode.FileMode) bool {
	return mode == filemode.Regular || mode == filemode.Executable || mode == filemode.Deprecated
}

// declarations is what a file of the fleet holds.
func (m *mirror) declarations(id plumbing.Hash) ([]byte, error) {
	blob, err := object.GetBlob(m.store, id)
	if err != nil {
		return nil, fmt.Errorf("%w: fleet: %w", errDamaged, err)
	}
	data, err := contents(blob)
	if err != nil {
		return nil, fmt.Errorf("%w: fleet: %w", errDamaged, err)
	}
	return data, nil
}

func contents(b *object.Blob) ([]byte, error) {
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, fleet.MaxFileSize+1)) // the parser refuses what is larger
	return data, errors.Join(err, r.Close())
}

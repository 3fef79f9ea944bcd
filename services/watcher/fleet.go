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
	// maxRecall is how many commits of the fleet's history are read to learn
	// what was declared before, where nothing else knows.
	maxRecall = 200
)

// readFleet reads and judges the declarations of one commit. A folder that is
// missing is an error: it is no empty fleet.
func readFleet(ctx context.Context, m *mirror, commit plumbing.Hash, folder string) (fleet.Result, error) {
	id, err := m.at(commit, folder)
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
	files, err := readFiles(ctx, m, tree, folder)
	if err != nil {
		return fleet.Result{}, err
	}
	return fleet.Parse(files), nil
}

// readFiles reads the files of a folder that hold declarations, with their
// paths from the root of the repository. What lies in a hidden folder, or is
// a symbolic link or a submodule, is not read.
func readFiles(ctx context.Context, m *mirror, tree *object.Tree, folder string) ([]fleet.File, error) {
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
		if entry.Mode != filemode.Regular && entry.Mode != filemode.Executable && entry.Mode != filemode.Deprecated || !fleet.IsDeclaration(name) {
			continue
		}
		blob, err := object.GetBlob(m.store, entry.Hash)
		if err != nil {
			return nil, fmt.Errorf("%w: fleet: %s: %w", errDamaged, name, err)
		}
		if size += blob.Size; size > maxFleet {
			return nil, tooLarge("the fleet's declarations have more than %d bytes", maxFleet)
		}
		data, err := contents(blob)
		if err != nil {
			return nil, fmt.Errorf("%w: fleet: %s: %w", errDamaged, name, err)
		}
		files = append(files, fleet.File{Path: strings.TrimPrefix(folder+"/"+name, "./"), Data: data})
	}
}

func contents(b *object.Blob) ([]byte, error) {
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, fleet.MaxFileSize+1)) // the parser refuses what is larger
	return data, errors.Join(err, r.Close())
}

// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mount is where kustomize sees the root of the tree. It is deep so that a
// path with .. shows that it leaves the tree, and doesn't end at a root that
// has no parent.
const mount = "/git/repository/tree"

var errReadOnly = errors.New("a commit can't be written to")

// treeFS is the tree as kustomize reads it.
type treeFS struct {
	*client
	replace map[string][]byte // files that kustomize sees otherwise, by path in the tree
	seen    func(name string, data []byte) *failure
	refused *failure // the first look-up that was refused
	left    string   // the path of it, where it leaves the tree by its own words
}

var _ filesys.FileSystem = (*treeFS)(nil)

// within turns a path of kustomize's into one of the tree.
func (t *treeFS) within(name string) (string, bool) {
	if !path.IsAbs(name) {
		name = path.Join(mount, name)
	}
	name = path.Clean(name)
	if name == mount {
		return ".", true
	}
	rest, ok := strings.CutPrefix(name, mount+"/")
	if !ok && t.refused == nil {
		t.left = name
		t.refuse(refusal(name, kindOutside))
	}
	return rest, ok
}

func (t *treeFS) refuse(f *failure) {
	if t.refused == nil {
		t.refused = f
	}
}

func (t *treeFS) stat(name string) answer {
	inside, ok := t.within(name)
	if !ok {
		return answer{Kind: kindOutside}
	}
	a := t.ask(opStat, inside)
	if f := refusal(inside, a.Kind); f != nil {
		t.refuse(f)
	}
	return a
}

// IsDir implements [filesys.FileSystem].
func (t *treeFS) IsDir(name string) bool { return t.stat(name).Kind == kindDirectory }

// Exists implements [filesys.FileSystem].
func (t *treeFS) Exists(name string) bool {
	k := t.stat(name).Kind
	return k == kindDirectory || k == kindFile
}

// CleanedAbs implements [filesys.FileSystem]: links are followed, as on disk.
func (t *treeFS) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	a := t.stat(name)
	full := path.Join(mount, a.Path)
	switch a.Kind {
	case kindDirectory:
		return filesys.ConfirmedDir(full), "", nil
	case kindFile:
		return filesys.ConfirmedDir(path.Dir(full)), path.Base(full), nil
	default:
		return "", "", fmt.Errorf("'%s' doesn't exist", name)
	}
}

// ReadFile implements [filesys.FileSystem].
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	inside, ok := t.within(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	a := t.ask(opRead, inside)
	if f := refusal(inside, a.Kind); f != nil {
		t.refuse(f)
	}
	if a.Kind != kindFile {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if f := t.seen(a.Path, a.Data); f != nil {
		t.refuse(f)
		return nil, f
	}
	if other, ok := t.replace[a.Path]; ok {
		return other, nil
	}
	return a.Data, nil
}

// ReadDir implements [filesys.FileSystem].
func (t *treeFS) ReadDir(name string) ([]string, error) {
	inside, ok := t.within(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	a := t.ask(opList, inside)
	if a.Kind != kindDirectory {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	names := make([]string, 0, len(a.Entries))
	for _, e := range a.Entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// Glob implements [filesys.FileSystem], for patterns in the last part of the
// path.
func (t *treeFS) Glob(pattern string) ([]string, error) {
	dir, last := path.Split(pattern)
	names, err := t.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		match, err := path.Match(last, name)
		if err != nil {
			return nil, err
		}
		if match {
			out = append(out, path.Join(dir, name))
		}
	}
	slices.Sort(out)
	return out, nil
}

// Walk implements [filesys.FileSystem]. Links are not followed, as by
// [filepath.Walk].
func (t *treeFS) Walk(root string, f filepath.WalkFunc) error {
	info, err := t.info(root)
	if err != nil {
		return f(root, nil, err)
	}
	if err := f(root, info, nil); err != nil || !info.IsDir() {
		if errors.Is(err, filepath.SkipDir) {
			return nil
		}
		return err
	}
	names, err := t.ReadDir(root)
	if err != nil {
		return f(root, info, err)
	}
	for _, name := range names {
		if err := t.Walk(path.Join(root, name), f); err != nil {
			return err
		}
	}
	return nil
}

// Open implements [filesys.FileSystem].
func (t *treeFS) Open(name string) (filesys.File, error) {
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{bytes.NewReader(data), fileInfo{path.Base(name), int64(len(data)), false}}, nil
}

func (t *treeFS) info(name string) (os.FileInfo, error) {
	a := t.stat(name)
	if a.Kind != kindFile && a.Kind != kindDirectory {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return fileInfo{path.Base(name), 0, a.Kind == kindDirectory}, nil
}

// Create implements [filesys.FileSystem]: it refuses.
func (t *treeFS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir implements [filesys.FileSystem]: it refuses.
func (t *treeFS) Mkdir(string) error { return errReadOnly }

// MkdirAll implements [filesys.FileSystem]: it refuses.
func (t *treeFS) MkdirAll(string) error { return errReadOnly }

// RemoveAll implements [filesys.FileSystem]: it refuses.
func (t *treeFS) RemoveAll(string) error { return errReadOnly }

// WriteFile implements [filesys.FileSystem]: it refuses.
func (t *treeFS) WriteFile(string, []byte) error { return errReadOnly }

type openFile struct {
	io.Reader
	info fileInfo
}

func (f *openFile) Write([]byte) (int, error)  { return 0, errReadOnly }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Stat() (os.FileInfo, error) { return f.info, nil }

type fileInfo struct {
	name string
	size int64
	dir  bool
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.dir }
func (i fileInfo) Sys() any           { return nil }

func (i fileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Folder is where the corpus lies, from the root of the module.
const Folder = "test/badinput/corpus"

// MaxFile is the size of a file, in bytes, above which it is no seed: the
// mutator copies a seed for every execution, and what a limit does to a large
// input is test/badinput's to show.
const MaxFile = 64 << 10

// File is one file of an input of the corpus.
type File struct {
	Input string // section/name
	Name  string
	Data  []byte
}

// Files returns the files of all inputs of sections, in a fixed order. It
// fails the target where one of the sections holds none.
func Files(tb testing.TB, sections ...string) []File {
	tb.Helper()
	var all []File
	for _, section := range sections {
		files, err := read(filepath.Join(root(), filepath.FromSlash(Folder)), section)
		if err != nil {
			tb.Fatalf("seeds: %v", err)
		}
		all = append(all, files...)
	}
	return all
}

// Each calls add with the content of every file of sections.
func Each(tb testing.TB, add func(File), sections ...string) {
	tb.Helper()
	for _, f := range Files(tb, sections...) {
		add(f)
	}
}

func read(folder, section string) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(folder, section, "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s/%s holds no input: %w", Folder, section, fs.ErrNotExist)
	}
	slices.Sort(paths)
	var files []File
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		input := section + "/" + filepath.Base(path)
		for _, f := range archive.Files {
			if len(f.Data) <= MaxFile {
				files = append(files, File{input, f.Name, f.Data})
			}
		}
	}
	return files, nil
}

// root is the module's folder: the tests run in their packages' own.
func root() string {
	_, here, _, ok := runtime.Caller(0)
	if dir := filepath.Join(filepath.Dir(here), "..", ".."); ok && exists(filepath.Join(dir, "go.mod")) {
		return dir
	}
	dir, err := os.Getwd() // built with -trimpath
	if err != nil {
		return "."
	}
	for !exists(filepath.Join(dir, "go.mod")) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

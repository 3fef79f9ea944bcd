// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrMark says that there is a mark, and that it can't be read.
var ErrMark = errors.New("the place in the log that was seen can't be read any more")

// ReadMark reads a mark from a file; the zero Mark where there is none. Its error
// wraps [ErrMark] where the file holds something else: what was seen is lost. The
// file lies outside the store: what is put back from a backup must not take it
// along.
func ReadMark(path string) (Mark, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, nil
	}
	if err != nil {
		return Mark{}, err
	}
	var m Mark
	if err := json.Unmarshal(text, &m); err != nil {
		return Mark{}, fmt.Errorf("%w: %s: %w", ErrMark, path, err)
	}
	if m.Epoch == "" {
		return Mark{}, fmt.Errorf("%w: %s names no epoch", ErrMark, path)
	}
	return m, nil
}

// WriteMark replaces the file whole: after a crash it is the old one or the
// new one.
func WriteMark(path string, m Mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone once renamed
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

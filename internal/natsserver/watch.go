// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// storeWatch remembers the folders of a store by their identity. A store that
// was taken away underneath a running server leaves the server writing into
// files that nobody will find again.
type storeWatch struct {
	folders map[string]fs.FileInfo
	filled  map[string]bool // folders that held blocks, or must by now
	log     string          // the folder of the log
}

// watchStore begins to watch over a store that is provisioned.
func watchStore(store string) (*storeWatch, error) {
	w := &storeWatch{
		folders: map[string]fs.FileInfo{}, filled: map[string]bool{},
		log: filepath.Join(store, natsconfig.Account, "streams", natsconfig.StreamEvents),
	}
	watched := []string{store}
	for _, stream := range []string{natsconfig.StreamEvents, natsconfig.StreamBlobs, natsconfig.StreamAttempts} {
		watched = append(watched, filepath.Join(store, natsconfig.Account, "streams", stream))
	}
	for _, folder := range watched {
		info, err := os.Stat(folder)
		if err != nil {
			return nil, err
		}
		w.folders[folder] = info
	}
	return w, nil
}

// lost says what of the store is gone; nil: it is all there.
func (w *storeWatch) lost() error {
	for folder, was := range w.folders {
		is, err := os.Stat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is gone", folder)
		}
		if err != nil {
			return err
		}
		if !os.SameFile(was, is) {
			return fmt.Errorf("%s is another folder than before", folder)
		}
		if err := w.emptied(folder); err != nil {
			return err
		}
	}
	return nil
}

// emptied reports a stream whose blocks are gone. One that has had a block
// always keeps one, as does one that has had a message.
func (w *storeWatch) emptied(folder string) error {
	blocks, err := filepath.Glob(filepath.Join(folder, "msgs", "*.blk"))
	if err != nil {
		return err
	}
	if len(blocks) == 0 && w.filled[folder] {
		return fmt.Errorf("%s is emptied", folder)
	}
	w.filled[folder] = len(blocks) > 0
	return nil
}

// fill takes note that the log holds events.
func (w *storeWatch) fill() { w.filled[w.log] = true }

// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// memory is what the watcher knows of the fleet from before. It is kept
// beside the mirrors; what is lost with it is read from the bus, or from the
// fleet's history, again.
type memory struct {
	// URL, Path and Branch say which fleet it is of.
	URL    string `json:"url"`
	Path   string `json:"path"`
	Branch string `json:"branch"`
	// Commit is that of the fleet when it was last read.
	Commit string `json:"commit"`
	// State is what was in force then.
	State fleet.State `json:"state"`
	// Entered says, by application subject, where the log ended when the
	// application came into the list.
	Entered map[string]events.Order `json:"entered,omitempty"`
	// Rejected are the rejections that hold now and were said: key → digest;
	// nil: nobody knows.
	Rejected map[string]string `json:"rejected"`
	// Epoch is the life of the log that Entered and Rejected are about.
	Epoch string `json:"epoch"`
}

// memoryFile is the name of the file; no repository's folder is named so.
const memoryFile = "fleet.json"

// loadMemory reads what was remembered of a fleet; nil: nothing, or of
// another fleet.
func loadMemory(dir string, of memory) (*memory, error) {
	data, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembered fleet: %w", err)
	}
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil //nolint:nilerr // a damaged memory is none: it is derived anew
	}
	if m.URL != of.URL || m.Path != of.Path || m.Branch != of.Branch {
		return nil, nil
	}
	return &m, nil
}

// save writes the memory whole, or not at all.
func (m *memory) save(dir string) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("remember the fleet: %w", err)
	}
	temp, err := os.CreateTemp(dir, memoryFile+".*")
	if err != nil {
		return fmt.Errorf("remember the fleet: %w", err)
	}
	_, writeErr := temp.Write(data)
	if err := errors.Join(writeErr, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(fmt.Errorf("remember the fleet: %w", err), os.Remove(temp.Name()))
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, memoryFile)); err != nil {
		return errors.Join(fmt.Errorf("remember the fleet: %w", err), os.Remove(temp.Name()))
	}
	return nil
}

// cleanMemory removes what a killed process left of a memory in the making.
func cleanMemory(dir string) error {
	var failed error
	for _, file := range []string{memoryFile, journalFile} {
		left, err := filepath.Glob(filepath.Join(dir, file+".*"))
		for _, path := range left {
			err = errors.Join(err, os.Remove(path))
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

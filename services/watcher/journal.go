// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// journalFile is the name of the file; no repository's folder is named so.
	journalFile = "said.jsonl"
	// slack is how many bytes a journal may have beside those that count before it
	// is written anew.
	slack = 4 << 20
)

// journal is the file of a [chronicle]: a line has all of one application, and
// the last line of an application counts. A line that was cut off by a crash is
// none. What is appended outlives the process; it is left to the system when it
// gets to the disk: with the machine most often the bus goes too, and what is
// said then comes from Git.
type journal struct {
	path string
	file *os.File
	// size is that of the file, base what it was when it was written anew.
	size, base int64
}

// record is a line of a journal.
type record struct {
	Subject string `json:"subject"`
	Past    []past `json:"past"`
}

// openJournal opens the journal in dir, or makes it, and reads what counts.
func openJournal(dir string) (*journal, map[string][]past, error) {
	j := &journal{path: filepath.Join(dir, journalFile)}
	all, err := readJournal(j.path)
	if err != nil {
		return nil, nil, fmt.Errorf("revisions that were said: %w", err)
	}
	return j, all, j.renew(all)
}

func readJournal(path string) (map[string][]past, error) {
	all := map[string][]past{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var r record
		if json.Unmarshal(line, &r) != nil || r.Subject == "" || !r.unfold() {
			continue // cut off, or damaged: it is learnt from the log again
		}
		if all[r.Subject] = r.Past; len(r.Past) == 0 {
			delete(all, r.Subject)
		}
	}
	return all, nil
}

// fold leaves out what the revision before says too.
func (r record) fold() record {
	folded := make([]past, len(r.Past))
	for i, p := range r.Past {
		if folded[i] = p; i > 0 && r.Past[i-1].Digest == p.Digest {
			folded[i].Declaration = nil
		}
	}
	return record{r.Subject, folded}
}

// unfold is the inverse of fold; false: a declaration is missing.
func (r record) unfold() bool {
	for i := range r.Past {
		p := &r.Past[i]
		if p.Declaration == nil && i > 0 && r.Past[i-1].Digest == p.Digest {
			p.Declaration = r.Past[i-1].Declaration
		}
		if p.Declaration == nil || p.Commit == "" {
			return false
		}
	}
	return true
}

// append writes the present state of some applications, in one piece.
func (j *journal) append(all map[string][]past, subjects map[string]bool) error {
	if j.size > 2*j.base+slack {
		return j.renew(all)
	}
	var lines bytes.Buffer
	for subject := range subjects {
		if err := encode(&lines, record{subject, all[subject]}); err != nil {
			return err
		}
	}
	n, err := j.file.Write(lines.Bytes())
	j.size += int64(n)
	if err != nil {
		// A line that was begun would spoil the next one.
		return errors.Join(fmt.Errorf("write down what is said: %w", err), j.renew(all))
	}
	return nil
}

func encode(w io.Writer, r record) error {
	if err := json.NewEncoder(w).Encode(r.fold()); err != nil { // which ends the line
		return fmt.Errorf("write down what is said: %w", err)
	}
	return nil
}

// renew writes what counts to a new file, whole or not at all.
func (j *journal) renew(all map[string][]past) error {
	temp, err := os.CreateTemp(filepath.Dir(j.path), journalFile+".*")
	if err != nil {
		return fmt.Errorf("write down what was said: %w", err)
	}
	w := bufio.NewWriter(temp)
	for subject, list := range all {
		if err == nil {
			err = encode(w, record{subject, list})
		}
	}
	if err = errors.Join(err, w.Flush(), temp.Sync()); err == nil {
		err = os.Rename(temp.Name(), j.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write down what was said: %w", err), temp.Close(), os.Remove(temp.Name()))
	}
	info, err := temp.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("write down what was said: %w", err), temp.Close())
	}
	old := j.file
	j.file, j.size, j.base = temp, info.Size(), info.Size()
	if old != nil {
		return old.Close()
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

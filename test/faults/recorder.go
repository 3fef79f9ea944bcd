// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Recorder writes everything that is seen into a history, and keeps what is
// known now. Safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	err     error // of the first write that failed
	history History

	live        map[string]State     // by object key
	inventories map[string]Inventory // by application
	last        map[string]Event     // by type and application: the newest of what the runner looks at
	outcome     map[string]bool      // revisions that an outcome was told of, see orderOf
	open        map[string]string    // divergences that are open: application by key
	denied      map[string]bool      // deletions of this round's, by key, and whether an event says so
	epoch       string               // of the log
	looks       int                  // at the log, to its end

	cancel  context.CancelFunc
	ctx     context.Context
	done    sync.WaitGroup
	anew    map[string]chan struct{} // by resource: tells its watch to list again
	changed chan struct{}            // closed and replaced with each record
}

// NewRecorder writes to a file, which it makes.
func NewRecorder(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Recorder{
		file: f, out: bufio.NewWriterSize(f, 1<<20), ctx: ctx, cancel: cancel,
		live: map[string]State{}, inventories: map[string]Inventory{}, last: map[string]Event{},
		outcome: map[string]bool{}, denied: map[string]bool{}, open: map[string]string{},
		anew: map[string]chan struct{}{}, changed: make(chan struct{}),
	}, nil
}

func (r *Recorder) add(record Record) {
	record.At = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(record)
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if record.Quiet != nil { // so that a run that is killed leaves what it saw
		err = errors.Join(err, r.out.Flush())
	}
	r.err = errors.Join(r.err, err)
	r.history = append(r.history, record)
	r.keep(record)
	close(r.changed)
	r.changed = make(chan struct{})
}

// keep takes a record into what is known now.
func (r *Recorder) keep(record Record) {
	switch {
	case record.Object != nil:
		r.live[record.Object.Key] = *record.Object
	case record.Gone != nil:
		delete(r.live, record.Gone.Key)
	case record.Inventory != nil && record.Inventory.Gone:
		delete(r.inventories, record.Inventory.App)
	case record.Inventory != nil:
		r.inventories[record.Inventory.App] = *record.Inventory
	case record.Event != nil:
		r.hear(*record.Event)
	case record.Begun != nil:
		r.denied = map[string]bool{}
	case record.Denied != nil:
		if _, known := r.denied[record.Denied.Key]; !known {
			r.denied[record.Denied.Key] = false
		}
	case record.Log != nil:
		r.epoch, r.open = record.Log.Epoch, map[string]string{}
	}
}

func (r *Recorder) hear(e Event) {
	r.last[e.Type+" "+e.App] = e
	if e.Type == "convergence.failed" {
		for _, key := range e.Objects {
			if _, denied := r.denied[key]; denied {
				r.denied[key] = true
			}
		}
	}
	switch {
	case outcomes[e.Type] != "":
		r.outcome[orderOf(e)] = true
	case e.Type == "divergence.detected":
		r.open[e.Key] = e.App
	case e.Type == "divergence.resolved":
		delete(r.open, e.Key)
	}
}

// orderOf names the revision that an event is about.
func orderOf(e Event) string { return fmt.Sprint(e.App, " ", e.Epoch, " ", e.Sequence) }

// behind says what the log has not told yet of what Git asks for, or "".
func (r *Recorder) behind(view *gitView) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(view.declared)) {
		tip := view.commits[view.declared[name].ref()]
		e, ever := r.last["commit.observed "+name]
		switch {
		case tip != "" && (e.Commit != tip || e.Log != r.epoch):
			return fmt.Sprintf("%s: %.12s was not observed yet", name, tip)
		case ever && !r.outcome[orderOf(e)]:
			return fmt.Sprintf("%s: nothing came of revision %d yet", name, e.Sequence)
		}
	}
	for key, app := range r.open {
		if _, ok := view.declared[app]; ok {
			return fmt.Sprintf("%s: the divergence %s is open", app, key)
		}
	}
	return ""
}

// owed says which revision the applier has in hand and has said nothing of yet,
// or "". It may have nothing to do with live, which a newer one that can't be
// rendered leaves as it was: a deletion waits for other applications. Where an
// applier was ended with it, or a newer one stands for it, it owes nothing; only
// the books can tell that.
func (r *Recorder) owed(view *gitView) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(view.declared)) {
		e, ever := r.last["manifests.rendered "+name]
		newer := r.last["manifests.unchanged "+name]
		stood := newer.Log == e.Log && newer.Sequence > e.Sequence && newer.Digest == e.Digest
		if ever && e.Log == r.epoch && !r.outcome[orderOf(e)] && !stood {
			return fmt.Sprintf("%s: revision %d was rendered, and nothing came of it yet", name, e.Sequence)
		}
	}
	return ""
}

// change is closed with the next record.
func (r *Recorder) change() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// History is everything so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history[:len(r.history):len(r.history)]
}

// stop ends the watches; what is recorded stays.
func (r *Recorder) stop() {
	r.cancel()
	r.done.Wait()
}

// Close ends the recording and says what of it failed.
func (r *Recorder) Close() error {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, r.out.Flush(), r.file.Close())
}

// relist has every watch begin with a list again.
func (r *Recorder) relist() {
	r.add(Record{Relist: true})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.anew {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

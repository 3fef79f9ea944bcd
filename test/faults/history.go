// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Record is one thing that was seen or done: exactly one of its fields is
// set. A history is records in the order in which they were seen, which is not
// always that in which they happened: the cluster's own order is by
// resourceVersion, the log's by epoch and place.
type Record struct {
	At        time.Time  `json:"at"`
	Ref       *RefChange `json:"ref,omitempty"`
	Event     *Event     `json:"event,omitempty"`
	Log       *Log       `json:"log,omitempty"`
	Object    *State     `json:"object,omitempty"`
	Gone      *State     `json:"gone,omitempty"` // as it was last
	Inventory *Inventory `json:"inventory,omitempty"`
	Relist    bool       `json:"relist,omitempty"` // the cluster's past was replaced by another
	Hand      *HandDone  `json:"hand,omitempty"`
	Denied    *Denial    `json:"denied,omitempty"`
	Begun     *FaultRun  `json:"begun,omitempty"`
	Lifted    *FaultRun  `json:"lifted,omitempty"`
	Quiet     *Quiet     `json:"quiet,omitempty"`
	Leak      *Leak      `json:"leak,omitempty"`
	Slack     *Message   `json:"slack,omitempty"`
	Told      bool       `json:"told,omitempty"` // the notifier had its time to tell what there was
	Note      string     `json:"note,omitempty"`
}

// RefChange is a ref that was set, created or deleted.
type RefChange struct {
	Step       int             `json:"step"`
	Op         Op              `json:"op"`
	Repository string          `json:"repository"`
	Branch     string          `json:"branch"`
	Commit     string          `json:"commit,omitempty"` // empty: it is gone
	Dirs       map[string]*Dir `json:"dirs,omitempty"`   // by application; for a source
	Apps       []App           `json:"apps,omitempty"`   // for the fleet
	Probe      *Probe          `json:"probe,omitempty"`
}

// Event is what the checker needs of an event of the log.
type Event struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	App      string    `json:"app,omitempty"`
	Key      string    `json:"key,omitempty"`
	Epoch    string    `json:"epoch"` // of the revision that it is about
	Sequence uint64    `json:"sequence,omitempty"`
	Log      string    `json:"log"` // the log's epoch when it was read
	Stored   uint64    `json:"stored"`
	Time     time.Time `json:"time"`
	Commit   string    `json:"commit,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
	Outcome  string    `json:"outcome,omitempty"`
	Hold     string    `json:"hold,omitempty"`
	By       uint64    `json:"by,omitempty"`      // of what is superseded: what by
	Objects  []string  `json:"objects,omitempty"` // keys that are held, were deleted or failed
	// Of a divergence: its kind, when it was first seen, how long it lasted,
	// how it ended, and whether it is said to have been alerted.
	Kind      string        `json:"kind,omitempty"`
	Since     time.Time     `json:"since,omitzero"`
	After     time.Duration `json:"after,omitempty"`
	How       string        `json:"how,omitempty"`
	Persisted bool          `json:"persisted,omitempty"`
	Alert     *Alert        `json:"alert,omitempty"`
}

// Log is a life of the log that began.
type Log struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`
}

// State is an object of the cluster at one resourceVersion.
type State struct {
	Key      string            `json:"key"` // group/kind/namespace/name
	UID      string            `json:"uid"`
	Version  uint64            `json:"version"`       // its resourceVersion; of its deletion, where it is gone
	App      string            `json:"app,omitempty"` // by its label
	Digest   string            `json:"digest,omitempty"`
	Deleting bool              `json:"deleting,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
	// Content is a hash of everything but resourceVersion, generation and
	// managedFields; Ours and Others are hashes of what managedFields holds of
	// Plumbline's entry and of the rest, times left out.
	Content string `json:"content"`
	Ours    string `json:"ours,omitempty"`
	Others  string `json:"others,omitempty"`
	Listed  bool   `json:"listed,omitempty"` // seen in a list, not as it happened
}

// Inventory is the record that Plumbline keeps of an application in the
// cluster, at one resourceVersion.
type Inventory struct {
	App      string           `json:"app"`
	UID      string           `json:"uid"`
	Version  uint64           `json:"version"`
	Gone     bool             `json:"gone,omitempty"`
	Fence    Fence            `json:"fence"`
	Entries  map[string]Entry `json:"entries"` // by object key
	Listed   bool             `json:"listed,omitempty"`
	Withheld bool             `json:"withheld,omitempty"`
	Unread   bool             `json:"unread,omitempty"` // its fence can't be read
}

// Fence is the newest revision that an application was driven to.
type Fence struct {
	Epoch    string   `json:"epoch"`
	Sequence uint64   `json:"sequence"`
	Digest   string   `json:"digest"`
	Retired  []string `json:"retired,omitempty"`
	Compared bool     `json:"compared,omitempty"`
	Applied  bool     `json:"applied,omitempty"`
}

// Entry is one object of an inventory.
type Entry struct {
	UID      string `json:"uid,omitempty"`
	Held     bool   `json:"held,omitempty"`
	Awaiting bool   `json:"awaiting,omitempty"`
	Offered  string `json:"offered,omitempty"`
}

// HandDone is what a hand, or a fault, did in the cluster.
type HandDone struct {
	Hand
	UID     string `json:"uid,omitempty"` // of what it deleted
	Deleted bool   `json:"deleted,omitempty"`
	// Whole says that everything in the namespace goes, or everything of the
	// kind in it.
	Whole bool `json:"whole,omitempty"`
}

// Denial is a deletion that the applier asked for, and that a fault denied.
type Denial struct {
	App string `json:"app"`
	Key string `json:"key"`
}

// FaultRun is one fault that was injected.
type FaultRun struct {
	Round int    `json:"round"`
	Row   string `json:"row"`
	Name  string `json:"name"`
	Loses Loss   `json:"loses,omitempty"`
	Quiet bool   `json:"quiet,omitempty"`
	// Struck says of one that is lifted that it has met something: a process
	// came by the point at which it was to be killed, a request was refused.
	Struck bool `json:"struck,omitempty"`
}

// Quiet is the end of a round: what is in the cluster when nothing moves any
// more, or when it took too long to come to rest.
type Quiet struct {
	Round    int           `json:"round"`
	Fault    string        `json:"fault,omitempty"`
	Row      string        `json:"row,omitempty"`
	Recovery time.Duration `json:"recovery"` // from when the fault's end began
	Late     string        `json:"late,omitempty"`
	Final    bool          `json:"final,omitempty"`
	Live     []State       `json:"live"` // every object of the workload's namespaces that carries a label of ours
}

// Leak is a secret where none may be.
type Leak struct {
	Canary string `json:"canary"`
	Where  string `json:"where"`
}

// Message is a message in Slack.
type Message struct {
	TS     string    `json:"ts"`               // its name
	Thread string    `json:"thread,omitempty"` // that it replies to
	Text   string    `json:"text"`
	Posted time.Time `json:"posted"`
}

// Alert is what an alert.delivered says.
type Alert struct {
	Thread   string `json:"thread"`
	Message  string `json:"message,omitempty"` // empty: it began the thread
	Event    string `json:"event"`             // that it is about, by id
	Resolved bool   `json:"resolved,omitempty"`
	Digest   bool   `json:"digest,omitempty"`
}

// History is what was recorded.
type History []Record

// ReadHistory reads JSON lines.
func ReadHistory(path string) (History, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a history: %w", err)
	}
	defer f.Close()
	var h History
	decoder := json.NewDecoder(bufio.NewReader(f))
	for {
		var r Record
		err := decoder.Decode(&r)
		if errors.Is(err, io.EOF) {
			return h, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read a history: %s: %w", path, err)
		}
		h = append(h, r)
	}
}

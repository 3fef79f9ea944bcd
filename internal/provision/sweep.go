// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// Grace is how long a blob that nothing reaches is kept, from its writing and
// from the sweep that first found it so.
const Grace = time.Hour

// Sweeper deletes blobs that no kept event reaches, in two phases: a sweep
// condemns what nothing reaches, and a later one, after the grace, deletes
// what is condemned and still not reached. A blob is written before the event
// that reaches it; the grace covers the time in between. Where it doesn't, the
// reader finds the blob missing and asks the level for it again.
type Sweeper struct {
	Grace     time.Duration // default [Grace]
	Now       func() time.Time
	condemned map[string]time.Time // since when, by name
}

// Swept is what a sweep found and did.
type Swept struct {
	Blobs     int // that were there
	Condemned int // that nothing reaches
	Deleted   []string
}

// Sweep does one sweep: js and log are connections of the provisioner.
func (s *Sweeper) Sweep(ctx context.Context, js jetstream.JetStream, log *bus.Conn) (Swept, error) {
	blobs, err := js.Stream(ctx, natsconfig.StreamBlobs)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep blobs: %w", err)
	}
	names, err := blobNames(ctx, blobs)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep blobs: %w", err)
	}
	reached := reach{blobs: map[string]bool{}}
	if err := reached.read(ctx, log); err != nil {
		return Swept{}, fmt.Errorf("sweep blobs: read the log: %w", err)
	}
	swept := Swept{Blobs: len(names)}
	condemned := map[string]time.Time{}
	for name, last := range names {
		if reached.blobs[name] {
			continue
		}
		since, known := s.condemned[name]
		if !known {
			since = s.now()
		}
		condemned[name] = since
		old, err := s.old(ctx, blobs, last, since)
		if err != nil {
			return swept, fmt.Errorf("sweep blob %s: %w", name, err)
		}
		if !known || !old {
			continue
		}
		// A writer that found the blob there may have named it meanwhile.
		if err := reached.read(ctx, log); err != nil {
			return swept, fmt.Errorf("sweep blobs: read the log: %w", err)
		}
		if reached.blobs[name] {
			delete(condemned, name)
			continue
		}
		if err := blobs.Purge(ctx, jetstream.WithPurgeSubject(name+".*")); err != nil {
			return swept, fmt.Errorf("sweep blob %s: %w", name, err)
		}
		delete(condemned, name)
		swept.Deleted = append(swept.Deleted, name)
	}
	s.condemned = condemned
	swept.Condemned = len(condemned)
	slices.Sort(swept.Deleted)
	return swept, nil
}

func (s *Sweeper) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// old reports whether a blob has been there, and condemned, for the grace.
func (s *Sweeper) old(ctx context.Context, blobs jetstream.Stream, chunk string, since time.Time) (bool, error) {
	grace := s.Grace
	if grace == 0 {
		grace = Grace
	}
	if s.now().Sub(since) < grace {
		return false, nil
	}
	m, err := blobs.GetLastMsgForSubject(ctx, chunk)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && s.now().Sub(m.Time) >= grace, err
}

// blobNames returns the blobs that are there, whole or not, each with its last
// chunk: the youngest, since they are written in order.
func blobNames(ctx context.Context, blobs jetstream.Stream) (map[string]string, error) {
	info, err := blobs.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for subject := range info.State.Subjects {
		i := strings.LastIndexByte(subject, '.')
		if i < 0 {
			continue
		}
		// Chunks are numbered without padding: the longer number is the higher.
		if last := names[subject[:i]]; cmp.Or(cmp.Compare(len(subject), len(last)), cmp.Compare(subject, last)) > 0 {
			names[subject[:i]] = subject
		}
	}
	return names, nil
}

// blobReference finds the names of blobs in an event, whatever its type and
// version: no event is too new to keep its blobs.
var blobReference = regexp.MustCompile(`plumbline\.blob(\.[A-Za-z0-9_-]+)+`)

// reach is the blobs that kept events name, as far as the log was read.
type reach struct {
	blobs map[string]bool
	next  uint64
}

// read reads on where it ended before.
func (r *reach) read(ctx context.Context, log *bus.Conn) error {
	next, err := log.Read(ctx, bus.Range{From: r.next}, func(record bus.Record) error {
		for _, name := range blobReference.FindAll(record.Body, -1) {
			r.blobs[string(name)] = true
		}
		return nil
	})
	r.next = next
	return err
}

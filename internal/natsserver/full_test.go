// SPDX-License-Identifier: Apache-2.0

//go:build unix

package natsserver_test

import (
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

// noSpace has every write of this process beyond a file's first bytes fail until
// the returned function is called, as on a disk that is full.
func noSpace(t *testing.T, bytes uint64) (space func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // else the write doesn't fail, the process ends
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	space = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(space)
	return space
}

// A stream that could not be written once is frozen for as long as its server
// runs. It is noticed, and when there is space again everything goes on, in the
// same log.
func TestTheDiskOfTheStoreIsFull(t *testing.T) { // alone: the limit is the process's
	s := serve(t, filepath.Join(t.TempDir(), "nats"))
	operator, watcher := s.connect(t, "operator"), s.connect(t, "watcher")
	before := epoch(t, operator)
	lookNow(t, operator, "a")
	space := noSpace(t, 64<<10)
	blob := make([]byte, 128<<10)
	for i := range blob {
		blob[i] = byte(i*i>>8 ^ i)
	}
	stored := make(chan error, 1)
	go func() {
		_, err := watcher.Blobs().Put(t.Context(), "plumbline.blob.watcher.source", blob)
		stored <- err
	}()
	bustest.Eventually(t, "the stream is frozen", func() bool { return natsserver.Refused(s.Server, t.Context()) != nil })
	space()
	select {
	case err := <-stored:
		if err != nil {
			t.Errorf("what could not be stored is not stored when there is space: %v", err)
		}
	case <-time.After(bustest.Timeout):
		t.Fatal("nothing is stored although there is space")
	}
	if after := epoch(t, operator); after != before {
		t.Errorf("the log has the epoch %s, and had %s", after, before)
	}
	if e := lookNow(t, operator, "b"); e.Epoch != before {
		t.Errorf("got %+v", e)
	}
}

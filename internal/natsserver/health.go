// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// errRefused says that the store has refused a write: the server freezes a
// stream then, for as long as it runs, and answers whoever writes to it nothing.
var errRefused = errors.New("the store of the bus refuses what is written")

// refused says which stream was frozen by a write that failed; nil: none.
func (s *Server) refused(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/healthz?details=true&account="+natsconfig.Account, http.NoBody)
	if err != nil {
		return err
	}
	var answer answer
	s.server.HandleHealthz(&answer, request)
	var health server.HealthStatus
	if err := json.Unmarshal(answer.Bytes(), &health); err != nil {
		return fmt.Errorf("ask the server for its health: %w", err)
	}
	for _, e := range health.Errors {
		if e.Type == server.HealthzErrorStream {
			return fmt.Errorf("%w: %s", errRefused, e.Error)
		}
	}
	return nil
}

// answer keeps the body of what the server's own handler says.
type answer struct{ bytes.Buffer }

func (*answer) Header() http.Header { return http.Header{} }
func (*answer) WriteHeader(int)     {}

// spaceNeeded is how much must fit on the disk of the store before the server is
// started on it again, in bytes. A server that starts on a full disk may do
// without what it can't write, whole streams included.
const spaceNeeded = 1 << 20

// awaitSpace returns when there is space on the disk of the store.
func (s *Server) awaitSpace(ctx context.Context) {
	told := false
	for {
		err := trySpace(filepath.Join(s.Store(), ".space"))
		if err == nil || errors.Is(err, fs.ErrNotExist) { // no folder, no disk
			return
		}
		if !told {
			told = true
			s.options.Log.Error("there is no space for the store of the bus: it is started again when there is", "error", err)
		}
		if !pause(ctx, checkEvery) {
			return
		}
	}
}

// trySpace writes a file, and removes it.
func trySpace(path string) error {
	err := os.WriteFile(path, make([]byte, spaceNeeded), 0o600)
	if gone := os.Remove(path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

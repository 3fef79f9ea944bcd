// SPDX-License-Identifier: Apache-2.0

package natsserver_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

type locked struct {
	sync.Mutex
	bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *locked) lines(with string) (n int) {
	l.Lock()
	defer l.Unlock()
	for line := range strings.Lines(l.Buffer.String()) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

// What the doctor is denied is one line of the log for each key that it tries;
// what anybody else is denied is told each time, and as an error.
func TestDenialsInTheLog(t *testing.T) {
	log := &locked{}
	s, err := natsserver.Start(t.Context(), natsserver.Options{Dir: filepath.Join(t.TempDir(), "nats"), Port: -1, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop() //nolint:errcheck // the test is over
	users, err := natsconfig.Users([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"watcher", "reader"} {
		cfg := bus.Config{URL: s.URL(), Creds: s.Creds(user), User: user}
		if _, err := bus.Rights(t.Context(), cfg, users, bustest.Log(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := log.lines("Violation"); n != 2 || log.lines("level=ERROR") != 0 {
		t.Errorf("%d lines of what the doctor is denied, want one for each of 2 keys, and no error:\n%s", n, log)
	}

	option, err := nats.NkeyOptionFromSeed(s.Creds("reader"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL(), option, nats.Name("plumbline reader"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 3 {
		if err := nc.Publish("plumbline.v1.no", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(bustest.Timeout); err != nil {
		t.Fatal(err)
	}
	if n := log.lines("level=ERROR"); n != 3 {
		t.Errorf("%d lines of what another is denied, want 3:\n%s", n, log)
	}
}

// A port that is taken is said at once.
func TestAPortThatIsTaken(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	begin := time.Now()
	_, err = natsserver.Start(t.Context(), natsserver.Options{Dir: filepath.Join(t.TempDir(), "nats"), Port: l.Addr().(*net.TCPAddr).Port})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "give another port") {
		t.Errorf("it says %v", err)
	}
	if took := time.Since(begin); took > 25*time.Second { // the server by itself tries for 30 s
		t.Errorf("it says so after %s", took)
	}
}

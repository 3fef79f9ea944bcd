// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// lines is a log, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// An applier that waits for its API server from the start says why: what is
// applied hangs on it, and to be asked over /readyz it need not even listen.
func TestSaysThatTheAPIServerIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	said := make(lines, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	conn := bustest.Start(t).Connect(t, "applier-local")
	go func() {
		done <- serve(ctx, Config{Cluster: "local", Resync: time.Hour}, conn, &rest.Config{Host: "https://" + nobody}, nil, slog.New(slog.NewTextHandler(said, nil)), &process.Health{})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	deadline := time.After(bustest.Timeout)
	for {
		select {
		case line := <-said:
			if strings.Contains(line, "level=WARN") && strings.Contains(line, nobody) && strings.Contains(line, "connection refused") {
				return
			}
		case <-deadline:
			t.Fatal("its log doesn't say that nobody answers at " + nobody)
		}
	}
}

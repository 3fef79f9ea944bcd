// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// A key that isn't there, or is none, ends the connecting: no waiting makes it
// better.
func TestAKeyThatCannotBeReadEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	none, garbage := filepath.Join(dir, "renderer.nk"), filepath.Join(dir, "garbage.nk")
	if err := os.WriteFile(garbage, []byte("SUnot-a-seed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, says string }{
		"missing":    {none, "'plumbline nats serve' writes one for each user of the bus, this user's is called renderer.nk"},
		"unreadable": {dir, "is a directory"},
		"no seed":    {garbage, "holds no nkey seed"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
			defer cancel()
			// Nothing listens there: the key is looked at first.
			_, err := bus.Connect(ctx, bus.Config{URL: "nats://127.0.0.1:1", Creds: c.file, User: "renderer"}, bustest.Log(t))
			if !errors.Is(err, bus.ErrKey) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("Connect = %v, want %q and the file in it", err, c.says)
			}
			if strings.Contains(err.Error(), "SUnot") {
				t.Errorf("the error shows what is in the file: %v", err)
			}
		})
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) with(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			n++
		}
	}
	return n
}

// stranger is a key that the server doesn't know.
func stranger(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "renderer.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A key that the server doesn't take, be it unknown or another user's, is said
// at once, to people and to what asks for readiness, and taken as soon as it is
// the right one.
func TestARefusedKeyIsSaidAndTriedAgain(t *testing.T) {
	s := bustest.Start(t)
	for name, wrong := range map[string]string{"unknown": stranger(t), "another user's": s.Config("watcher").Creds} {
		t.Run(name, func(t *testing.T) {
			config := s.Config("renderer")
			right, err := os.ReadFile(config.Creds)
			if err != nil {
				t.Fatal(err)
			}
			config.Creds = filepath.Join(t.TempDir(), "key")
			copyFile(t, wrong, config.Creds)
			told := make(chan error, 100)
			config.Waiting = func(err error) { told <- err }
			var log lines
			connected := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
			defer cancel()
			go func() {
				c, err := bus.Connect(ctx, config, slog.New(slog.NewTextHandler(&log, nil)))
				if err == nil {
					defer c.Close()
					err = c.Ready()
				}
				connected <- err
			}()
			for range 3 {
				if err := <-told; !errors.Is(err, bus.ErrRefused) {
					t.Fatalf("Waiting is told %v", err)
				}
			}
			if n := log.with("level=WARN", "the bus refuses this key", "user=renderer"); n != 1 || log.with("the bus refuses this key", "error=\"the bus") > 0 {
				t.Errorf("it is said %d times after three tries, or twice in one line:\n%s", n, &log.text)
			}
			if err := os.WriteFile(config.Creds, right, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := <-connected; err != nil {
				t.Errorf("with the right key: %v", err)
			}
		})
	}
}

// The same, of a connection that was there.
func TestAKeyThatIsRefusedLater(t *testing.T) {
	s := bustest.Start(t)
	config := s.Config("renderer")
	right, wrong := config.Creds, stranger(t)
	config.Creds = filepath.Join(t.TempDir(), "key")
	copyFile(t, right, config.Creds)
	var log lines
	c, err := bus.Connect(t.Context(), config, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ready(); err != nil {
		t.Errorf("Ready = %v", err)
	}
	s.Down(t)
	bustest.Eventually(t, "the loss is told", func() bool { return c.Ready() != nil })
	copyFile(t, wrong, config.Creds)
	s.Up(t)
	bustest.Eventually(t, "the refusal is told", func() bool { return errors.Is(c.Ready(), bus.ErrRefused) })
	bustest.Eventually(t, "the refusal is logged", func() bool { return log.with("level=WARN", "the bus refuses this key") > 0 })

	if err := os.Remove(config.Creds); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the loss of the key is told", func() bool { return errors.Is(c.Ready(), bus.ErrKey) })
	copyFile(t, right, config.Creds)
	bustest.Eventually(t, "it is connected again", func() bool { return c.Ready() == nil })
	if n := log.with("the bus refuses this key"); n != 1 {
		t.Errorf("the refusal is said %d times within %s", n, 10*time.Second)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

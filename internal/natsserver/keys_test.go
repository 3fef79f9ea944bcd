// SPDX-License-Identifier: Apache-2.0

package natsserver_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

// A server that holds the provisioner's seed, and of the others the public key,
// takes each of them, and says when it works.
func TestRunsOnPublicKeys(t *testing.T) {
	seeds, keys := t.TempDir(), t.TempDir()
	public, err := natsserver.PublicKeys(natsserver.Options{Keys: seeds})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := natsserver.PublicKeys(natsserver.Options{Keys: seeds}); err != nil || again["watcher"] != public["watcher"] {
		t.Errorf("asked again: %s, then %s, %v", public["watcher"], again["watcher"], err)
	}
	for user, key := range public {
		give(t, filepath.Join(keys, user+natsserver.PublicSuffix), key)
	}
	seed, err := os.ReadFile(filepath.Join(seeds, "provisioner.nk"))
	if err != nil {
		t.Fatal(err)
	}
	give(t, filepath.Join(keys, "provisioner.nk"), string(seed))

	told := make(chan error, 16)
	ready := make(chan *natsserver.Server, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		o := natsserver.Options{Dir: t.TempDir(), Keys: keys, Host: "0.0.0.0", Port: -1, Waiting: func(why error) { told <- why }}
		done <- natsserver.Serve(ctx, o, func(s *natsserver.Server) { ready <- s })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	s := <-ready
	if first, then := <-told, <-told; first == nil || then != nil {
		t.Errorf("told %v, then %v", first, then)
	}
	if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
		t.Errorf("its own address is %s", s.URL())
	}
	connecting, stop := context.WithTimeout(t.Context(), bustest.Timeout)
	defer stop()
	conn, err := bus.Connect(connecting, bus.Config{URL: s.URL(), Creds: filepath.Join(seeds, "watcher.nk"), User: "watcher"}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if left, err := filepath.Glob(filepath.Join(keys, "*.nk")); err != nil || len(left) != 1 {
		t.Errorf("seeds were made: %v, %v", left, err)
	}

	give(t, filepath.Join(keys, "reader.pub"), "no key")
	if _, err := natsserver.PublicKeys(natsserver.Options{Keys: keys}); err == nil || !strings.Contains(err.Error(), "reader.pub") {
		t.Errorf("a file that holds no key: %v", err)
	}
}

func give(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

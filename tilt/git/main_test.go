// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServesWhatIsSavedAsCommits(t *testing.T) {
	folder, data := t.TempDir(), t.TempDir()
	save := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("a.yaml", "1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, folder, data) }()
	url := "http://" + l.Addr().String() + "/fleet.git"

	first := await(t, url, "")
	save("a.yaml", "2")
	await(t, url, first)
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, "clone", "--quiet", url, clone)
	if text, err := os.ReadFile(filepath.Join(clone, "a.yaml")); err != nil || string(text) != "2" {
		t.Errorf("cloned %q, %v", text, err)
	}
	if subject := run(t, "-C", clone, "log", "--format=%s", "-1"); strings.TrimSpace(subject) != "Save a.yaml" {
		t.Errorf("the commit is called %q", subject)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "-C", clone, "push", "--quiet", url, "HEAD:refs/heads/other").CombinedOutput(); err == nil {
		t.Errorf("it takes a push: %s", out)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// await waits for another tip of main than before.
func await(t *testing.T, url, before string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if tip := run(t, "ls-remote", url, "refs/heads/main"); tip != "" && tip != before {
			return tip
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no commit")
		}
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", args...).Output()
	if err != nil {
		t.Fatalf("git %s: %v", args[0], err)
	}
	return string(out)
}

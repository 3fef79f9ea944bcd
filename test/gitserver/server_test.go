// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func lsRemote(t *testing.T, env []string, url string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", "ls-remote", url, "refs/heads/main")
	cmd.Env = append(append(environment(), "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir()), env...)
	out, err := cmd.CombinedOutput()
	return strings.Fields(string(out) + " -")[0], err
}

func newRepo(t *testing.T, s *Server) (*Repo, string) {
	t.Helper()
	repo, err := s.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	id, err := repo.Put(map[string]string{"deploy/a.yaml": "a: 1\n"})
	if err != nil {
		t.Fatal(err)
	}
	return repo, id
}

func TestServesOverHTTP(t *testing.T) {
	s := New(t, Options{Username: "ada", Password: "secret"})
	repo, id := newRepo(t, s)
	if _, err := lsRemote(t, nil, repo.URL); err == nil {
		t.Error("served without credentials")
	}
	withCredentials := strings.Replace(repo.URL, "http://", "http://ada:secret@", 1)
	if got, err := lsRemote(t, nil, withCredentials); err != nil || got != id {
		t.Errorf("ls-remote = %s, %v; want %s", got, err, id)
	}
	if s.Count(List) < 2 || !s.SawAuthorization() {
		t.Errorf("counted %d listings", s.Count(List))
	}

	// A push over HTTP, larger than what git sends in one piece.
	if _, err := repo.Commit(Commit{Files: map[string]string{"big": incompressible(2 << 20)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Git("push", "--quiet", withCredentials, "HEAD:main"); err != nil {
		t.Fatal(err)
	}
	head, err := repo.Head()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := lsRemote(t, nil, withCredentials); err != nil || got != head {
		t.Errorf("after the push: %s, %v; want %s", got, err, head)
	}

	s.Inject(Status(500))
	if _, err := lsRemote(t, nil, withCredentials); err == nil {
		t.Error("served in spite of a fault")
	}
	s.Inject(nil)
	if _, err := lsRemote(t, nil, withCredentials); err != nil {
		t.Error(err)
	}
}

func incompressible(n int) string {
	var b strings.Builder
	x := uint64(1)
	for b.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteByte(byte('!' + x%90))
	}
	return b.String()
}

func TestServesOverTLSAndSSH(t *testing.T) {
	s := New(t, Options{TLS: true})
	repo, id := newRepo(t, s)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := lsRemote(t, nil, repo.URL); err == nil {
		t.Error("an unknown authority was trusted")
	}
	if got, err := lsRemote(t, []string{"GIT_SSL_CAINFO=" + write("ca.crt", s.CA)}, repo.URL); err != nil || got != id {
		t.Errorf("over TLS: %s, %v; want %s", got, err, id)
	}
	ssh, err := s.ServeSSH()
	if err != nil {
		t.Fatal(err)
	}
	command := "GIT_SSH_COMMAND=ssh -F none -o IdentitiesOnly=yes -o UserKnownHostsFile=" + write("known_hosts", ssh.KnownHosts) +
		" -i " + write("identity", ssh.Identity)
	if got, err := lsRemote(t, []string{command}, ssh.URL+"/shop.git"); err != nil || got != id {
		t.Errorf("over SSH: %s, %v; want %s", got, err, id)
	}
}

// Who writes into a repository itself, beside what is pushed, must not find its
// folders swept away: git packs what is loose, and removes them, after a push that
// finds much of it.
func TestAPushPacksNothing(t *testing.T) {
	s := New(t, Options{})
	repo, _ := newRepo(t, s)
	loose := filepath.Join(repo.Bare, "objects", "17") // where git counts
	if err := os.MkdirAll(loose, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(loose, fmt.Sprintf("%038x", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := repo.Commit(Commit{Files: map[string]string{"b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if err := repo.Push(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(repo.Bare, "packed-refs")); !errors.Is(err, fs.ErrNotExist) { // what it begins with
		t.Errorf("it packs: %v", err)
	}
}

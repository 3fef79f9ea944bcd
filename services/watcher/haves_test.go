// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// branches makes n branches in a repository, with a commit of its own each,
// the oldest first.
func branches(t *testing.T, repo *gitserver.Repo, n int) {
	t.Helper()
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "commit refs/heads/b%04d\ncommitter Ada <ada@example.com> %d +0000\ndata 0\nM 100644 inline f\ndata %d\n%s\n",
			i, 1_700_000_000+i, len(fmt.Sprint(i)), fmt.Sprint(i))
	}
	cmd := exec.CommandContext(t.Context(), "git", "-C", repo.Bare, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fast-import: %v: %s", err, out)
	}
}

// git runs git in the bare repository.
func git(t *testing.T, repo *gitserver.Repo, args ...string) string {
	t.Helper()
	out, err := repo.Git(append([]string{"--git-dir", repo.Bare}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// counted is a session that counts what the server is told.
type counted struct {
	session
	haves int
	bytes int64
}

func (c *counted) pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	c.haves = len(req.Haves)
	body, err := c.session.pack(ctx, req)
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, c), body}, err
}

func (c *counted) Write(p []byte) (int, error) { c.bytes += int64(len(p)); return len(p), nil }

// TestManyRefs follows more refs than a pipe holds haves.
func TestManyRefs(t *testing.T) {
	t.Parallel()
	const n = 1500 // of 50 bytes each: more than a pipe holds
	s := gitserver.New(t, gitserver.Options{})
	repo, err := s.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	branches(t, repo, n)
	ssh, err := s.ServeSSH()
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	for file, content := range map[string][]byte{"identity": ssh.Identity, "known_hosts": ssh.KnownHosts} {
		path := filepath.Join(credentials, "shop", file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, url := range map[string]string{"file": "file://" + repo.Bare, "ssh": ssh.URL + "/shop.git", "http": repo.URL} {
		t.Run(name, func(t *testing.T) {
			e, err := parseEndpoint(url)
			if err != nil {
				t.Fatal(err)
			}
			r := &remote{name: "shop", endpoint: e, maxPack: DefaultLimits().Pack, directory: credentials}
			m, err := openMirror(filepath.Join(t.TempDir(), "mirror"))
			if err != nil {
				t.Fatal(err)
			}
			if first := fetchAll(t, r, m); first.haves != 0 {
				t.Errorf("%d haves of nothing", first.haves)
			}
			moved := git(t, repo, "commit-tree", "-p", "b0000", "-m", name, "b0000^{tree}")
			git(t, repo, "update-ref", "refs/heads/b0000", moved)
			if second := fetchAll(t, r, m); second.haves != maxHaves || second.bytes > 2000 {
				t.Errorf("%d haves, and %d bytes for one empty commit", second.haves, second.bytes)
			}
			if !m.known(plumbing.NewHash(moved)) {
				t.Error("what moved is not there")
			}
		})
	}
}

// fetchAll fetches what all refs of a remote stand for.
func fetchAll(t *testing.T, r *remote, m *mirror) *counted {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := r.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l, err := read(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	var all []target
	tips := map[plumbing.Hash]bool{}
	for name, id := range l.refs {
		all = append(all, target{l.tip(name), id})
		tips[l.tip(name)] = true
	}
	c := &counted{session: s}
	if err := m.fetch(ctx, c, l, all); err != nil {
		t.Fatal(err)
	}
	if err := m.settle(tips); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheMostUsefulHaves(t *testing.T) {
	at := func(i int) time.Time { return time.Unix(int64(i), 0) }
	var all []have
	for i := range 400 {
		all = append(all, have{plumbing.NewHash(fmt.Sprintf("%040x", i)), i >= 10, at(i)})
	}
	got := useful(all)
	if len(got) != maxHaves {
		t.Fatalf("%d haves", len(got))
	}
	var want []plumbing.Hash
	for i := 9; i >= 0; i-- {
		want = append(want, plumbing.NewHash(fmt.Sprintf("%040x", i)))
	}
	for i := 399; len(want) < maxHaves; i-- {
		want = append(want, plumbing.NewHash(fmt.Sprintf("%040x", i)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("haves = %v", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestCredentialsAreReadAgainWhenTheyChange(t *testing.T) {
	l := newLab(t, gitserver.Options{Username: "ada", Password: "first", TLS: true})
	a := l.put("a", "web")
	l.declareShop("web")
	for _, repository := range []string{"fleet", "shop"} {
		l.credential(repository, "ca.crt", string(l.git.CA))
		l.credential(repository, "username", "ada\n")
		l.credential(repository, "password", "first\n")
	}
	l.watch()
	l.observed("web", a)

	l.git.SetCredentials("ada", "second")
	b := l.put("b", "web")
	if said := l.awaitUnreachable("shop"); said.Reason != events.ReasonUnauthorized {
		t.Errorf("said: %+v", said)
	}
	for _, repository := range []string{"fleet", "shop"} {
		l.credential(repository, "password", "second")
	}
	l.observed("web", b)
	l.awaitRecovered("shop")
	l.noSecrets("first", "second")
}

// noSecrets looks for texts in everything on the bus.
func (l *lab) noSecrets(secrets ...string) {
	l.Helper()
	for _, e := range l.log("*.*") {
		_, body, err := events.Encode(e)
		l.must(err)
		for _, secret := range secrets {
			if strings.Contains(string(body), secret) {
				l.Errorf("%s holds %q: %s", e.Type.Name(), secret, body)
			}
		}
	}
}

func TestUnknownAuthorityIsNotTrusted(t *testing.T) {
	l := newLab(t, gitserver.Options{TLS: true})
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch()
	said := l.awaitUnreachable("fleet")
	if said.Reason != events.ReasonUnauthorized || !strings.Contains(said.Message, "ca.crt") {
		t.Errorf("said: %+v", said)
	}
	for _, repository := range []string{"fleet", "shop"} { // trusted from the next connection on
		l.credential(repository, "ca.crt", string(l.git.CA))
	}
	l.observed("web", a)
}

func TestAdvisoryC5RedirectToAnotherHostIsRefused(t *testing.T) {
	l := newLab(t, gitserver.Options{Username: "ada", Password: "s3cret"})
	other := gitserver.New(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	for _, repository := range []string{"fleet", "shop"} {
		l.credential(repository, "username", "ada")
		l.credential(repository, "password", "s3cret")
	}
	l.watch()
	l.observed("web", a)
	l.git.Inject(gitserver.Redirect(other.URL))
	if said := l.awaitUnreachable("shop"); said.Reason != events.ReasonRedirected || !strings.Contains(said.Message, other.URL) {
		t.Errorf("said: %+v", said)
	}
	if n := other.Count(gitserver.List) + other.Count(gitserver.Fetch) + other.Count(gitserver.Other); n != 0 || other.SawAuthorization() {
		t.Errorf("the other host saw %d requests, credentials: %v", n, other.SawAuthorization())
	}
}

func TestRedirectOnTheSameHostIsFollowed(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	l.git.Inject(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if to, moved := strings.CutPrefix(r.URL.Path, "/old"); moved {
				http.Redirect(w, r, to+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	l.watch(func(c *Config) { c.Fleet = l.git.URL + "/old/fleet.git" })
	l.observed("web", a)
}

func TestSSH(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	ssh, err := l.git.ServeSSH()
	l.must(err)
	a := l.put("a", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", ssh.URL+"/shop.git") + application("web", "shop", "")}))
	l.credential("shop", "identity", string(ssh.Identity))
	l.watch()

	said := l.awaitUnreachable("shop")
	if said.Reason != events.ReasonUnauthorized || !strings.Contains(said.Message, "shop/known_hosts") {
		t.Errorf("without known_hosts: %+v", said)
	}
	l.credential("shop", "known_hosts", string(ssh.KnownHosts))
	l.observed("web", a)
	l.awaitRecovered("shop")
	b := l.put("b", "web")
	l.observed("web", b)
}

func TestSSHRefusesAnotherHostKeyAndAnUnknownIdentity(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	one, err := l.git.ServeSSH()
	l.must(err)
	l.put("a", "web")
	other, err := gitserver.New(t, gitserver.Options{}).ServeSSH()
	l.must(err)
	e, err := parseEndpoint(one.URL + "/shop.git")
	l.must(err)
	r := &remote{name: "shop", endpoint: e, directory: l.config.GitCredentials, maxPack: 1 << 20}
	try := func(what, file, content string) {
		t.Helper()
		l.credential("shop", "identity", string(one.Identity))
		l.credential("shop", "known_hosts", string(one.KnownHosts))
		l.credential("shop", file, content)
		s, err := r.open(t.Context())
		if err == nil {
			s.close()
			t.Fatalf("%s: connected", what)
		}
		if known := classify(err); known.reason != events.ReasonUnauthorized {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: the error shows the key", what)
		}
	}
	key := strings.SplitN(string(other.KnownHosts), " ", 2)[1]
	host := strings.SplitN(string(one.KnownHosts), " ", 2)[0]
	try("unknown host", "known_hosts", string(other.KnownHosts))
	try("another host key", "known_hosts", host+" "+key)
	try("unknown identity", "identity", string(other.Identity))
	try("broken identity", "identity", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")

	// A repository that is not there is said as such, each time: what says so
	// comes after the end of the listing, or before it.
	l.credential("shop", "identity", string(one.Identity))
	l.credential("shop", "known_hosts", string(one.KnownHosts))
	r.endpoint.path = "/none.git"
	for range 20 {
		s, err := r.open(t.Context())
		l.must(err)
		if _, err := read(t.Context(), s); err == nil || !strings.Contains(classify(err).message, "no such repository") {
			t.Errorf("a missing repository: %v", err)
		}
		s.close()
	}
}

// Why upload-pack ended is read when it has ended: its standard error may come
// after the end of its standard output.
func TestRefusalWaitsForStandardError(t *testing.T) {
	said := &tail{}
	ended := false
	s := &stream{
		out: io.NopCloser(strings.NewReader("")), stderr: said,
		exited: func() {
			if !ended {
				_, _ = said.Write([]byte("fatal: '/none.git' does not appear to be a git repository\n"))
			}
		},
		finish: func() { ended = true },
	}
	if _, err := s.list(t.Context()); !errors.Is(err, transport.ErrRepositoryNotFound) {
		t.Errorf("%v", err)
	}
}

// A process that has closed its standard output and doesn't end is ended with the
// context.
func TestRefusalEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	s := (&stream{
		out: io.NopCloser(strings.NewReader("")), stderr: &tail{},
		exited: func() { cancel(); <-ended },
		finish: func() { close(ended) },
	}).start(ctx)
	if _, err := s.list(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A session whose context ends while it begins is ended, by one of the two
// goroutines.
func TestStreamEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		ended := make(chan struct{})
		s := &stream{finish: func() { close(ended) }}
		s.start(ctx)
		s.end()
		<-ended
	}
}

func TestFleetInADirectory(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	l.must(os.WriteFile(dir+"/shop.yaml", []byte(repository("shop", "file://"+l.shop.Bare)+application("web", "shop", "")), 0o600))
	git("add", ".")
	git("commit", "--quiet", "--message", "Fleet")
	l.watch(func(c *Config) { c.Fleet, c.FleetPath = dir, "." })
	l.observed("web", a)
	b := l.put("b", "web")
	l.observed("web", b)
}

func TestRemoteFleetMayNotReadThisMachine(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.put("a", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", "file://"+l.shop.Bare) + application("web", "shop", "")}))
	l.watch()
	if said := l.awaitUnreachable("shop"); said.Reason != events.ReasonUnauthorized || !strings.Contains(said.Message, "file://") {
		t.Errorf("said: %+v", said)
	}
}

func TestNoRepositoryIsGivenTheFleetsCredentials(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	other := gitserver.New(t, gitserver.Options{})
	l.credential("fleet", "password", "s3cret")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("fleet", other.URL+"/x.git") + application("web", "fleet", "")}))
	l.watch()
	bustest.Eventually(t, "the refusal", func() bool { return len(l.bus.Events(t, "plumbline.v1.fleet.rejected.>")) > 0 })
	if said := l.outages("fleet"); len(said) > 0 {
		t.Errorf("told of the fleet repository: %+v", said[0])
	}
	if other.SawAuthorization() {
		t.Error("another host was given the fleet's credentials")
	}
}

func TestAdvisoryC4HostileServers(t *testing.T) {
	flood := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	other := gitserver.New(t, gitserver.Options{})
	answers := map[string]struct {
		kind   gitserver.Kind
		answer http.HandlerFunc
		want   events.Reason
	}{
		"pack without end": {gitserver.Fetch, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("0008NAK\n"))
			for r.Context().Err() == nil {
				if _, err := w.Write(append([]byte("ffec\x01"), make([]byte, 0xffec-5)...)); err != nil {
					return
				}
			}
		}, events.ReasonSourceTooLarge},
		"pack that is none": {gitserver.Fetch, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("0008NAK\n0011\x01PACK rubbish0000"))
		}, events.ReasonSourceInvalid},
		"pack that announces more than memory holds": {gitserver.Fetch, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("0008NAK\n0011\x01PACK\x00\x00\x00\x02\xff\xff\xff\xff0000"))
		}, events.ReasonSourceInvalid},
		"pack of too many objects": {gitserver.Fetch, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("0008NAK\n0011\x01PACK\x00\x00\x00\x02\x00\x40\x00\x010000"))
		}, events.ReasonSourceTooLarge},
		"pack at another host": {gitserver.Fetch, gitserver.Redirect(other.URL)(nil).ServeHTTP, events.ReasonRedirected},
		"no answer":            {gitserver.Fetch, func(http.ResponseWriter, *http.Request) {}, ""},
		"no protocol":          {gitserver.Fetch, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, ""},
		"listing of zeros":     {gitserver.List, flood, ""},
		"listing without end": {gitserver.List, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			line := strings.Repeat("1", 40) + " refs/heads/" + strings.Repeat("x", 60_000)
			_, _ = io.WriteString(w, pkt("# service=git-upload-pack\n")+"0000"+pkt(line+"\x00ofs-delta\n"))
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, pkt(line+"\n")); err != nil {
					return
				}
			}
		}, events.ReasonSourceTooLarge},
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			s := gitserver.New(t, gitserver.Options{})
			repo, err := s.Repo("shop")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := repo.Put(map[string]string{"a": "a"}); err != nil {
				t.Fatal(err)
			}
			s.Inject(gitserver.Only(test.kind, func(http.Handler) http.Handler { return test.answer }))
			m, err := openMirror(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			e, err := parseEndpoint(repo.URL)
			if err != nil {
				t.Fatal(err)
			}
			r := &remote{name: "shop", endpoint: e, maxPack: 4 << 20}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // some servers never end
			defer cancel()
			err = func() error {
				c, err := r.open(ctx)
				if err != nil {
					return err
				}
				defer c.close()
				l, err := read(ctx, c)
				if err != nil {
					return err
				}
				return m.fetch(ctx, c, l, []target{{l.tip("refs/heads/main"), l.refs["refs/heads/main"]}})
			}()
			if err == nil {
				t.Fatal("no error")
			}
			var known *sourceError
			if test.want != "" && (!errors.As(err, &known) || known.reason != test.want) {
				t.Errorf("err = %v, want %s", err, test.want)
			}
			if text := classify(err).message; strings.Contains(text, "html") || strings.Contains(text, "rubbish") {
				t.Errorf("the message repeats the server's words: %s", text)
			}
			if other.Count(gitserver.Fetch)+other.Count(gitserver.Other) > 0 {
				t.Error("another host was asked")
			}
			if left, _ := os.ReadDir(m.dir() + "/objects/pack"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// What a CI system checks out has no history.
func TestShallowCloneIsWatched(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.put("a", "web")
	a := l.put("b", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", "file://"+l.shop.Bare) + application("web", "shop", "")}))
	l.do(l.fleet.Put(map[string]string{"clusters/README": "x"}))
	dir := t.TempDir() + "/fleet"
	out, err := exec.Command("git", "clone", "--quiet", "--depth", "1", "file://"+l.fleet.Bare, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("git clone: %v: %s", err, out)
	}
	l.watch(func(c *Config) { c.Fleet = dir })
	l.observed("web", a)
	l.awaitList("web")
}

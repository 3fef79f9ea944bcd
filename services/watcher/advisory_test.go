// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" // Git's own checksum of a pack
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// Names in a tree that a checkout would write over its own configuration, or
// out of its folder: a mirror has no checkout, and writes packs alone.
func TestAdvisoryC2HostilePacksStayInTheMirror(t *testing.T) {
	dir, link, file := filemode.Dir, filemode.Symlink, filemode.Regular
	for name, entries := range map[string][]object.TreeEntry{
		".git":                     {{Name: ".git", Mode: dir}},
		".GIT":                     {{Name: ".GIT", Mode: dir}, {Name: ".Git", Mode: dir}, {Name: "git~1", Mode: dir}},
		".git that is a file":      {{Name: ".git", Mode: file}},
		".git that is a link":      {{Name: ".git", Mode: link}},
		"link and folder":          {{Name: "a", Mode: link}, {Name: "a", Mode: dir}},
		"link and folder, by case": {{Name: "A", Mode: link}, {Name: "a", Mode: dir}},
		"..":                       {{Name: "..", Mode: dir}, {Name: ".", Mode: dir}},
		"a path":                   {{Name: "../../outside", Mode: file}, {Name: "/tmp/outside", Mode: file}, {Name: "a/../../outside", Mode: dir}},
		"dot git with a stream":    {{Name: ".git::$INDEX_ALLOCATION", Mode: dir}, {Name: ".g\u200cit", Mode: dir}},
		"executable and submodule": {{Name: ".gitmodules", Mode: file}, {Name: "x", Mode: filemode.Executable}, {Name: "y", Mode: filemode.Submodule}},
	} {
		t.Run(name, func(t *testing.T) {
			commit, pack := hostilePack(t, entries, "../../outside")
			outside := t.TempDir()
			m, err := fetchInto(t, filepath.Join(outside, "mirror"), commit, append([]byte("0008NAK\n"), pack...))
			if err != nil {
				t.Fatalf("nothing of a tree is written, and yet: %v", err)
			}
			packTree(t, m, commit)
			staysInside(t, outside, "mirror")
		})
	}
}

// Names of refs never reach the disk, however they are spelt.
func TestAdvisoryC2RefNamesStayOffTheDisk(t *testing.T) {
	commit, pack := hostilePack(t, nil, "x")
	outside := t.TempDir()
	m, err := fetchInto(t, filepath.Join(outside, "mirror"), commit, append([]byte("0008NAK\n"), pack...))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"refs/heads/../../x", "refs/heads/../../../../x", "/etc/x", "refs/heads/a/./b", `refs\heads\..\x`, "-x", "refs/heads/main.lock", "HEAD", "objects/pack/x", ".."} {
		var listed bytes.Buffer
		listed.WriteString(pkt(commit.String()+" "+name+"\x00allow-tip-sha1-in-want\n") + "0000")
		s := (&stream{in: sink{}, out: io.NopCloser(&listed), stderr: &tail{}, exited: func() {}, finish: func() {}}).start(t.Context())
		l, err := read(t.Context(), s)
		s.close()
		if err != nil {
			decent(t, err)
			continue
		}
		if err := m.settle(map[plumbing.Hash]bool{l.tip(name): true}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	tips, err := m.tips()
	if err != nil || len(tips) != 1 || tips[0] != commit {
		t.Errorf("tips %v, %v", tips, err)
	}
	staysInside(t, outside, "mirror")
}

// fetchInto opens a mirror and fetches commit from a server that says body.
func fetchInto(t *testing.T, root string, commit plumbing.Hash, body []byte) (*mirror, error) {
	t.Helper()
	m, err := openMirror(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	r := answering(body)
	s, err := r.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, m.fetch(t.Context(), s, listing{capabilities: capability.NewList()}, []target{{commit, commit}})
}

// What goes to a shell on the other side of SSH is one word of it.
func TestAdvisoryC3AnSSHPathIsOneWord(t *testing.T) {
	for _, path := range []string{"/srv/a b.git", "/a'; touch /tmp/x; '", "/$(id)/`id`", "/a\"b\\c", "/a!b!", "/*", "/a#b;c&d|e>f"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuoted(path)).Output()
		if err != nil || string(out) != strings.ReplaceAll(path, `\!`, "!") {
			t.Errorf("%q comes as %q, %v", path, out, err)
		}
	}
}

// deltaBomb is a pack of a kilobyte: a blob of a mebibyte of zeros, and a chain
// of deltas, each of which copies the start of the one before it so many times.
func deltaBomb(tb testing.TB, levels, times int) []byte {
	tb.Helper()
	var pack bytes.Buffer
	pack.WriteString("PACK")
	_ = binary.Write(&pack, binary.BigEndian, []uint32{2, uint32(levels + 1)})
	entry := func(kind plumbing.ObjectType, size int, base, content []byte) {
		pack.Write(entryHeader(kind, uint64(size)))
		pack.Write(base)
		w := zlib.NewWriter(&pack)
		if _, err := w.Write(content); err != nil {
			tb.Fatal(err)
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	const chunk = 1 << 20
	size := uint64(chunk)
	at := pack.Len()
	entry(plumbing.BlobObject, chunk, nil, make([]byte, chunk))
	for range levels {
		delta := binary.AppendUvarint(binary.AppendUvarint(nil, size), uint64(times*chunk))
		for range times {
			delta = append(delta, 0x80|0x40, chunk>>16) // copy from 0
		}
		here := pack.Len()
		entry(plumbing.OFSDeltaObject, len(delta), ofsDelta(here-at), delta)
		at, size = here, uint64(times*chunk)
	}
	sum := sha1.Sum(pack.Bytes()) //nolint:gosec // see the import
	pack.Write(sum[:])
	return pack.Bytes()
}

// ofsDelta is an offset as a pack has it (gitformat-pack, "offset encoding").
func ofsDelta(n int) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{byte(0x80 | n&0x7f)}, out...)
	}
	return out
}

// A malicious server is refused with a reason, in bounded time, memory and
// disk.
func TestAdvisoryC4PacksThatAreBombs(t *testing.T) {
	commit, good := hostilePack(t, nil, "x")
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	large, invalid := events.ReasonSourceTooLarge, events.ReasonSourceInvalid
	for name, c := range map[string]struct {
		pack   []byte
		reason events.Reason
	}{
		"delta bomb":          {deltaBomb(t, 1, 1000), large},
		"delta bomb, chained": {deltaBomb(t, 4, 1000), large},
		"one that is large":   {deltaBomb(t, 1, 200), large}, // and with all others less than what a pack may come to
		"many that are large": {deltaBomb(t, 20, 100), large},
		"wrong checksum":      {broken, invalid},
		"cut":                 {good[:len(good)-30], invalid},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			began := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := fetchInto(t, root, commit, append([]byte("0008NAK\n"), c.pack...))
			runtime.ReadMemStats(&after)
			t.Logf("%d bytes took %s, and %d MiB of allocations, heap %d MiB: %v", len(c.pack), time.Since(began), (after.TotalAlloc-before.TotalAlloc)>>20, after.HeapSys>>20, err)
			var known *sourceError
			if !errors.As(err, &known) || known.reason != c.reason {
				t.Fatalf("err = %v, want %s", err, c.reason)
			}
			decent(t, err)
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 256<<20 {
				t.Errorf("it takes %d MiB", grown>>20)
			}
		})
	}
}

// A server that answers a byte at a time is cut off with the look.
func TestAdvisoryC4ASlowPackIsCutOff(t *testing.T) {
	s := gitserver.New(t, gitserver.Options{})
	repo, err := s.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Put(map[string]string{"a": "a"}); err != nil {
		t.Fatal(err)
	}
	s.Inject(gitserver.Only(gitserver.Fetch, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for text := "0008NAK\nffec\x01PACK" + strings.Repeat("\x00", 10_000); text != "" && r.Context().Err() == nil; text = text[1:] {
				_, _ = io.WriteString(w, text[:1])
				_ = http.NewResponseController(w).Flush()
				<-tick.C
			}
		})
	}))
	e, err := parseEndpoint(repo.URL)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMirror(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := (&remote{name: "shop", endpoint: e, maxPack: 4 << 20}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	l, err := read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err = m.fetch(ctx, c, l, []target{{l.tip("refs/heads/main"), l.refs["refs/heads/main"]}})
	if known := classify(err); !errors.Is(err, context.DeadlineExceeded) || known.reason != events.ReasonUnreachable {
		t.Errorf("err = %v", err)
	}
}

// Credentials go along to the origin that is declared, and to https on the
// same host, and nowhere else.
func TestAdvisoryC5CredentialsStayWithTheirOrigin(t *testing.T) {
	for to, follow := range map[string]bool{
		"http://git.example.com/other.git/info/refs": true,
		"http://GIT.example.com/x":                   true,
		"https://git.example.com/x":                  true,
		"https://git.example.com:8443/x":             false,
		"http://git.example.com:81/x":                false,
		"http://git.example.com.evil.example/x":      false,
		"http://evil.example/git.example.com":        false,
		"http://169.254.169.254/latest":              false,
		"file:///etc/passwd":                         false,
		"ftp://git.example.com/x":                    false,
		"http://git.example.com@evil.example/x":      false,
		"https://git.example.com%2f@evil.example/x":  false,
	} {
		from := mustRequest(t, "http://git.example.com/shop.git/info/refs")
		err := sameHost(mustRequest(t, to), []*http.Request{from})
		var known *sourceError
		if (err == nil) != follow || err != nil && (!errors.As(err, &known) || known.reason != events.ReasonRedirected) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if sameHost(mustRequest(t, "http://git.example.com/x"), []*http.Request{mustRequest(t, "https://git.example.com/x")}) == nil {
		t.Error("https may become http")
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Credentials change while two applications are pushed to and webhooks come:
// nothing is lost, nothing is shown, and the race detector has nothing to say.
func TestAdvisoryC15CredentialsRotateUnderLoad(t *testing.T) {
	l := newLab(t, gitserver.Options{Username: "ada", Password: "pass-0"})
	rotate := func(n int) {
		password := fmt.Sprint("pass-", n)
		l.git.SetCredentials("ada", password)
		for _, repository := range []string{"fleet", "shop"} {
			l.credential(repository, "username", "ada")
			l.credential(repository, "password", password)
		}
	}
	rotate(0)
	l.put("0", "web", "api")
	l.declareShop("web", "api")
	secrets := t.TempDir()
	l.must(os.WriteFile(filepath.Join(secrets, "shop"), []byte("hook-0"), 0o600))
	address := make(chan string, 1)
	l.watch(func(c *Config) {
		c.WebhookListen, c.WebhookSecrets = "127.0.0.1:0", secrets
		c.WebhookReady = func(a string) { address <- a }
	})
	hooks := webhooks(t, <-address)
	var last string
	for n := 1; n <= 4; n++ {
		rotate(n)
		l.must(os.WriteFile(filepath.Join(secrets, "shop"), fmt.Append(nil, "hook-", n), 0o600))
		last = l.put(fmt.Sprint(n), "web", "api")
		l.observed("web", last)
	}
	l.observed("api", last)
	if hooks() == 0 {
		t.Error("no webhook was answered")
	}
	l.noSecrets("pass-", "hook-")
}

// webhooks sends webhooks, signed with one secret after another, until it is
// asked how many were answered.
func webhooks(t *testing.T, address string) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var answered atomic.Int64
	var wg sync.WaitGroup
	for n := range 2 {
		wg.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/webhook/shop", strings.NewReader("{}"))
				if err != nil {
					return
				}
				r.Header.Set("X-Hub-Signature-256", sign(fmt.Sprint("hook-", i%5), "{}"))
				if answer, err := http.DefaultClient.Do(r); err == nil {
					answered.Add(1)
					_ = answer.Body.Close()
				}
			}
		})
	}
	return func() int64 { cancel(); wg.Wait(); return answered.Load() }
}

// A signature is recorded and not verified: whatever a commit holds is never
// recorded as verified, and one that is signed never as unsigned.
func TestAdvisoryC16SignaturesAreRecordedAndNeverTrusted(t *testing.T) {
	head := "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n"
	signature := "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"
	mergetag := "mergetag object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n type commit\n tag x\n tagger A <a@b> 1 +0000\n \n x\n -----BEGIN PGP SIGNATURE-----\n"
	for name, c := range map[string]struct{ text, verdict string }{
		"unsigned":                    {head + "\nx\n", "unsigned"},
		"signed":                      {head + signature + "\nx\n", "unverified"},
		"signed twice":                {head + signature + signature + "\nx\n", "unverified"},
		"signed by SSH":               {head + "gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\nx\n", "unverified"},
		"a signature that is none":    {head + "gpgsig x\n\nx\n", "unverified"},
		"a signature in the message":  {head + "\n" + signature, "unsigned"},
		"a merged tag that is signed": {head + mergetag + "\nx\n", "unsigned"},
		"a merged tag, and signed":    {head + mergetag + signature + "\nx\n", "unverified"},
		"the form for SHA-256":        {head + "gpgsig-sha256 x\n\nx\n", "unsigned"},
		"a verdict of its own":        {head + "verified true\nverdict verified\n\nSignature: verified\n", "unsigned"},
		"headers that stand twice":    {head + "author B <b@b> 2 +0000\n" + signature + "\nx\n", ""},
		"two trees":                   {"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n" + head + "\nx\n", ""},
		"no tree":                     {"author A <a@b> 1 +0000\n\nx\n", ""},
		"cut in the signature":        {head + "gpgsig -----BEGIN PGP", ""},
		"a NUL":                       {head + "gpgsig \x00\n\nx\x00y\n", ""},
		"nothing":                     {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			encoded := &plumbing.MemoryObject{}
			encoded.SetType(plumbing.CommitObject)
			if _, err := encoded.Write([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
			commit := &object.Commit{}
			if err := commit.Decode(encoded); err != nil {
				if c.verdict != "" {
					t.Errorf("refused: %v", err)
				}
				return // the commit is rejected
			}
			checkRevision(t, []byte(c.text), commit)
			got := revision(finding{assignment: assignment{declaration: sampleDeclaration()}}, commit, byPoll).Signature.Verdict
			if c.verdict != "" && got != c.verdict {
				t.Errorf("recorded as %q, want %q", got, c.verdict)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	inmemory "github.com/go-git/go-git/v5/storage/memory"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// canary is what a server says and nobody may repeat.
const canary = "kanarienvogel-3fa9c1"

// saidByServer is a transport that answers every request with one body.
type saidByServer struct {
	status int
	body   []byte
}

func (s saidByServer) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := "application/x-git-upload-pack-advertisement"
	if r.Method == http.MethodPost {
		kind = "application/x-git-upload-pack-result"
	}
	return &http.Response{
		StatusCode: s.status, Header: http.Header{"Content-Type": {kind}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(s.body)), ContentLength: int64(len(s.body)),
	}, nil
}

// answering is a remote over HTTP whose server says body.
func answering(body []byte) *remote {
	return &remote{
		name: "shop", endpoint: endpoint{scheme: "http", host: "git.example.com", path: "/shop.git"},
		maxPack: 1 << 20, client: &http.Client{Transport: saidByServer{http.StatusOK, body}},
	}
}

// decent demands of an error what an event can carry: bounded, printable, and
// nothing of the server's words.
func decent(t *testing.T, err error) {
	t.Helper()
	known := classify(err)
	if known.reason == "" || known.message == "" || len(known.message) > 2<<10 || !utf8.ValidString(known.message) {
		t.Fatalf("reason %q: %q", known.reason, known.message)
	}
	if strings.Contains(known.message, canary) {
		t.Fatalf("the server's words show: %s", known.message)
	}
}

// FuzzListing: whatever a server answers to "which refs are there", over HTTP
// or through a pipe, is a listing or one error with a reason; and no name of
// its refs becomes the name of a file.
func FuzzListing(f *testing.F) {
	id := "1111111111111111111111111111111111111111"
	f.Add([]byte("001e# service=git-upload-pack\n0000" + pkt(id+" HEAD\x00symref=HEAD:refs/heads/main\n") + pkt(id+" refs/heads/main\n") + "0000"))
	f.Add([]byte(pkt(id+" refs/heads/../../x\x00allow-tip-sha1-in-want\n") + pkt(id+" refs/tags/-x\n") + pkt(id+" refs/tags/-x^{}\n") + "0000"))
	f.Add([]byte(pkt(id+" capabilities^{}\x00agent="+canary+"\n") + pkt("shallow "+id+"\n") + "0000"))
	f.Add([]byte("0006a\x00" + canary))
	f.Add([]byte("ffff"))
	seedFiles(f, f.Add)
	f.Fuzz(func(t *testing.T, said []byte) {
		pipe := (&stream{in: sink{}, out: io.NopCloser(bytes.NewReader(said)), stderr: &tail{}, exited: func() {}, finish: func() {}}).start(t.Context())
		web, err := answering(said).open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []session{pipe, web} {
			l, err := read(t.Context(), s)
			s.close()
			if err != nil {
				decent(t, err)
				continue
			}
			for name := range l.refs {
				if file := tipRef(l.tip(name)).String(); !regexp.MustCompile(`^refs/tips/[0-9a-f]{40}$`).MatchString(file) {
					t.Fatalf("the ref %q would be the file %q", name, file)
				}
			}
		}
	})
}

type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }
func (sink) Close() error                { return nil }

// pkt is one line of Git's protocol (gitprotocol-common, pkt-line).
func pkt(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

// seedFiles adds what of the corpus is Git's.
func seedFiles(f *testing.F, add func(args ...any)) {
	f.Helper()
	seed.Each(f, func(file seed.File) { add(file.Data) }, "git")
}

// FuzzPack: whatever a server sends for a pack, what it leaves on the disk is
// inside of the mirror, and the mirror either knows the commit or has nothing
// new. What it knows is packed for the renderer, or refused.
func FuzzPack(f *testing.F) {
	for _, entries := range [][]object.TreeEntry{
		nil,
		{{Name: ".git", Mode: filemode.Dir}, {Name: ".GIT", Mode: filemode.Symlink}},
		{{Name: "..", Mode: filemode.Dir}, {Name: "a/b", Mode: filemode.Regular}, {Name: "x", Mode: filemode.Submodule}},
	} {
		_, pack := hostilePack(f, entries, "config")
		f.Add(append([]byte("0008NAK\n"), pack...))
	}
	f.Add([]byte("0008NAK\nPACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Add([]byte("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x01\xbf\xff\xff\xff\xff\x7f"))
	f.Add([]byte(pkt("ERR " + canary)))
	seedFiles(f, f.Add)
	commit, _ := hostilePack(f, nil, "config")
	f.Fuzz(func(t *testing.T, said []byte) {
		outside := t.TempDir()
		m, err := openMirror(filepath.Join(outside, "mirror"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.close() }()
		began := time.Now()
		s, err := answering(said).open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = m.fetch(t.Context(), s, listing{capabilities: capability.NewList()}, []target{{commit, commit}})
		if took := time.Since(began); took > 2*time.Minute {
			t.Fatalf("%d bytes took %s", len(said), took)
		}
		staysInside(t, outside, "mirror")
		if err != nil {
			decent(t, err)
			return
		}
		if !m.known(commit) {
			t.Fatal("fetched, and the commit is not known")
		}
		packTree(t, m, commit)
	})
}

// packTree packs the tree of a commit that is known: to bytes, or refused.
func packTree(t *testing.T, m *mirror, commit plumbing.Hash) {
	t.Helper()
	c, err := m.commit(commit)
	if err == nil {
		_, err = sourcePack(t.Context(), m.store, c.TreeHash, DefaultLimits())
	}
	if err != nil && !errors.Is(err, errDamaged) {
		decent(t, err)
	}
}

// hostilePack is a commit of a tree with entries, and the pack of all of it.
// Entries without an id are a file with that content, or a folder that holds
// one.
func hostilePack(tb testing.TB, entries []object.TreeEntry, content string) (plumbing.Hash, []byte) {
	tb.Helper()
	store := inmemory.NewStorage()
	put := func(kind plumbing.ObjectType, text string) plumbing.Hash {
		o := &plumbing.MemoryObject{}
		o.SetType(kind)
		if _, err := o.Write([]byte(text)); err != nil {
			tb.Fatal(err)
		}
		id, err := store.SetEncodedObject(o)
		if err != nil {
			tb.Fatal(err)
		}
		return id
	}
	blob := put(plumbing.BlobObject, content)
	folder := put(plumbing.TreeObject, "100644 config\x00"+string(blob[:]))
	var text strings.Builder
	for _, e := range entries {
		id := blob
		if e.Mode == filemode.Dir {
			id = folder
		}
		fmt.Fprintf(&text, "%o %s\x00%s", uint32(e.Mode), e.Name, id[:])
	}
	tree := put(plumbing.TreeObject, text.String())
	commit := put(plumbing.CommitObject, "tree "+tree.String()+"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n")
	var ids []plumbing.Hash
	for id := range store.Objects {
		ids = append(ids, id)
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, store, false).Encode(ids, 0); err != nil {
		tb.Fatal(err)
	}
	return commit, pack.Bytes()
}

// staysInside demands that a folder holds nothing but one other, and that
// nothing in that is a link or could be run.
func staysInside(t *testing.T, folder, only string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if rest != "." && rest != only && !strings.HasPrefix(rest, only+string(filepath.Separator)) {
			t.Errorf("%s is outside of the mirror", rest)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() && (!info.Mode().IsRegular() || info.Mode()&0o111 != 0) {
			t.Errorf("%s is a %s", rest, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzCommit: a commit object, however odd, is refused or recorded in an event
// that can be published; it is recorded as signed wherever it holds a
// signature, and never as verified.
func FuzzCommit(f *testing.F) {
	head := "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n"
	signature := "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"
	for _, text := range []string{
		head + "\ntitle\n", head + signature + "\ntitle\n", head + signature + signature + "\n", head + "gpgsig \n\n", head + "gpgsig-sha256 x\n\n",
		head + "mergetag object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n type commit\n tag x\n tagger A <a@b> 1 +0000\n \n x\n" + signature + "\nx",
		"gpgsig", "\n\ngpgsig in the message", head + "author B <b@b> 99999999999999999999 +9999\n\n", strings.ReplaceAll(head, "A", "\x00\xff\u202e<!channel>"),
		"tree x\n\n", "", head + "encoding latin1\nHG:extra x\n\n\xe4",
	} {
		f.Add([]byte(text))
	}
	seedFiles(f, f.Add)
	f.Fuzz(func(t *testing.T, text []byte) {
		encoded := &plumbing.MemoryObject{}
		encoded.SetType(plumbing.CommitObject)
		if _, err := encoded.Write(text); err != nil {
			t.Fatal(err)
		}
		c := &object.Commit{}
		if c.Decode(encoded) != nil {
			return
		}
		checkRevision(t, text, c)
	})
}

func checkRevision(t *testing.T, text []byte, c *object.Commit) {
	t.Helper()
	f := finding{assignment: assignment{declaration: sampleDeclaration()}, verdict: verdict{cause: causeCommit}}
	r := revision(f, c, byPoll)
	// gpgsig-sha256 signs the SHA-256 form of a commit: in a SHA-1 repository
	// git takes it for no signature, and so is it recorded.
	header, _, _ := strings.Cut(string(text), "\n\n")
	signed := regexp.MustCompile(`(?m)^gpgsig \S`).MatchString(header)
	if r.Signature.Verdict != "unsigned" && r.Signature.Verdict != "unverified" || signed && r.Signature.Verdict == "unsigned" {
		t.Fatalf("verdict %q (signed: %t)", r.Signature.Verdict, signed)
	}
	data := &events.CommitObserved{Revision: r, Declaration: f.declaration, Source: events.Blob{Digest: "sha256:" + strings.Repeat("0", 64), Size: 1}}
	e := events.Event{ID: "i", Source: events.Source("watcher", ""), Type: events.TypeOf(data), Time: time.Unix(1, 0), Address: events.Address{Cluster: "local", Application: f.declaration.Application}, Data: data}
	headers, body, err := events.Encode(e)
	if err != nil {
		t.Fatalf("can't be published: %v\n%q", err, text)
	}
	if _, err := events.Decode(e.Type.Subject(e.Address), headers, body, 1); err != nil {
		t.Fatalf("can't be read again: %v\n%s", err, body)
	}
}

func sampleDeclaration() events.Declaration {
	return events.Declaration{
		Application: "shop", Cluster: "local", Namespace: "shop",
		Source: events.SourceSpec{Repository: "shop", URL: "https://git.example.com/shop.git", Path: "."},
	}
}

// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// scripts is a smart-HTTP Git server (gitprotocol-http, version 0) whose
// repositories do what the "server" files of the inputs say. One line each:
//
//	refs status CODE            an answer without a listing; "once" behind it: the first time only
//	refs redirect PATH          to another host, or, where it begins with /, of the same
//	refs body TEXT…             a body, generated as in [Input.Tree]
//	refs ref NAME               one ref more, at the commit
//	refs count N                N refs more
//	refs drip | hang | endless  a byte now and then; nothing; without end
//	refs type TYPE              another content type
//	refs capability TEXT        one capability more
//	refs id HEX                 the branch at another id
//	pack status CODE, redirect, body, drip, hang, endless; behind drip and endless how often, after which it is 500
//	pack cut | flip | checksum  half of it; a bit turned; another checksum
//	pack count N                N objects are announced
//	pack lacks KIND             no commit, tree or blob
//	pack more KIND TEXT…        one object more
//	pack delta-bomb             deltas that each double the one before, 1 GiB at the end
//	pack delta-orphan           a delta of an object that nobody has
//	pack delta-self             a delta of itself
//	pack inflate N              an object that says 10 bytes and has N
//	pack huge N                 an object that says N bytes and has few
//	pack sideband-error TEXT    a fatal error on the third side band
//	tree MODE NAME              an entry of the root tree as it is, at an empty file
//	tree-raw TEXT…              the root tree, whatever it is
//	tag TEXT…                   the branch at an annotated tag object with this text
type scripts struct {
	server   *http.Server
	listener net.Listener
	other    net.Listener // another host
	repos    map[string]*script
	sawAuth  atomic.Bool // at the other host
	atHome   atomic.Bool // the credentials came where they belong
	done     chan struct{}
}

// script is one repository.
type script struct {
	steps   []Step // Path is refs, pack, tree, …
	objects objects
	commit  string
	tip     string // what the branch is at
	// refs and packed are listing and pack, made once and before they are asked
	// for: some take
	// longer than who asks waits.
	refs, packed func() []byte
	listed       atomic.Int64
	packs        atomic.Int64
}

func serveScripts(inputs []Input) (*scripts, error) {
	s := &scripts{repos: map[string]*script{}, done: make(chan struct{})}
	for _, in := range inputs {
		if in.Section != "git" {
			continue
		}
		r, err := newScript(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.ID(), err)
		}
		s.repos[in.ID()] = r
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if s.other, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	for _, l := range []net.Listener{s.listener, s.other} {
		go func() { _ = s.server.Serve(l) }() // ends with close
	}
	return s, nil
}

func (s *scripts) close() {
	close(s.done)
	_ = s.server.Close() // what hangs is cut
}

// url is the address of an input's repository.
func (s *scripts) url(in Input) string {
	return "http://" + s.listener.Addr().String() + "/" + in.ID() + ".git"
}

func newScript(in Input) (*script, error) {
	steps, err := parseSteps(in.Parts["server"])
	if err != nil {
		return nil, err
	}
	entries, err := in.Tree()
	if err != nil {
		return nil, err
	}
	r := &script{steps: steps, objects: objects{}}
	root := r.objects.tree(entries)
	var extra bytes.Buffer
	for _, step := range r.of("tree") {
		writeEntry(&extra, step.Op, step.Args[0], r.objects.add("blob", []byte("x: y\n")))
	}
	if extra.Len() > 0 {
		root = r.objects.add("tree", append(bytes.Clone(r.objects[root].data), extra.Bytes()...))
	}
	for _, step := range r.of("tree-raw") {
		text, err := generated(append([]string{step.Op}, step.Args...))
		if err != nil {
			return nil, err
		}
		root = r.objects.add("tree", text)
	}
	r.commit = r.objects.commit(root, in.Name)
	if text, ok := in.Parts["commit"]; ok {
		delete(r.objects, r.commit)
		text = strings.NewReplacer("${tree}", root, "${signature}", signature, "${nul}", "\x00").Replace(text)
		r.commit = r.objects.add("commit", []byte(text))
	}
	r.tip = r.commit
	for _, step := range r.of("tag") {
		text := strings.Join(append([]string{step.Op}, step.Args...), " ")
		r.tip = r.objects.add("tag", []byte(strings.NewReplacer("${commit}", r.commit, "${tree}", root, "\\n", "\n").Replace(text)))
	}
	if step, ok := r.step("refs", "id"); ok {
		r.tip = step.Args[0]
	}
	if err := r.change(); err != nil {
		return nil, err
	}
	r.refs, r.packed = sync.OnceValue(r.listing), sync.OnceValue(r.pack)
	go r.refs() // made ahead of whoever asks: both read what must not change any more
	go r.packed()
	return r, nil
}

// of are the steps about something.
func (r *script) of(what string) []Step {
	return slices.DeleteFunc(slices.Clone(r.steps), func(s Step) bool { return s.Path != what })
}

func (r *script) step(what, op string) (Step, bool) {
	for _, s := range r.steps {
		if s.Path == what && s.Op == op {
			return s, true
		}
	}
	return Step{}, false
}

// change does to the objects what the script says.
func (r *script) change() error {
	for _, step := range r.of("pack") {
		switch step.Op {
		case "lacks":
			for id, o := range r.objects {
				if o.kind == step.Args[0] {
					delete(r.objects, id)
				}
			}
		case "more":
			text, err := generated(step.Args[1:])
			if err != nil {
				return err
			}
			r.objects.add(step.Args[0], text)
		}
	}
	return nil
}

func (s *scripts) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	elsewhere := req.Host == s.other.Addr().String()
	if elsewhere && req.Header.Get("Authorization") != "" {
		s.sawAuth.Store(true)
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), ".git/")
	r, ok := s.repos[name]
	if !ok {
		http.NotFound(w, req)
		return
	}
	if user, password, ok := req.BasicAuth(); ok && !elsewhere && user == gitUser && password == gitPassword {
		s.atHome.Store(true)
	}
	what, answer := "pack", r.packed
	if strings.HasSuffix(rest, "info/refs") {
		what, answer = "refs", r.refs
		r.listed.Add(1)
	}
	for _, step := range r.of(what) {
		if elsewhere {
			break // it serves what it is asked for, so that whoever comes goes on asking
		}
		if s.misbehave(w, req, r, step) {
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	if what == "pack" {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	}
	if step, ok := r.step(what, "type"); ok {
		w.Header().Set("Content-Type", step.Args[0])
	}
	_, _ = w.Write(answer()) // the client may go
}

// misbehave answers in the place of a listing or a pack.
func (s *scripts) misbehave(w http.ResponseWriter, req *http.Request, r *script, step Step) bool {
	switch step.Op {
	case "status":
		if len(step.Args) > 1 && r.listed.Load() > 1 { // once
			return false
		}
		code, _ := strconv.Atoi(step.Args[0])
		http.Error(w, "words-of-the-server", code)
	case "redirect":
		to := step.Args[0]
		if !strings.HasPrefix(to, "/") {
			to = strings.ReplaceAll(to, "${other}", s.other.Addr().String())
		}
		http.Redirect(w, req, to, http.StatusFound)
	case "body":
		text, err := generated(step.Args)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write(text)
	case "hang":
		select {
		case <-req.Context().Done():
		case <-s.done:
		}
	case "drip", "endless":
		if len(step.Args) > 0 { // so often
			if n, _ := strconv.Atoi(step.Args[0]); r.packs.Add(1) > int64(n) {
				http.Error(w, "words-of-the-server", http.StatusInternalServerError)
				return true
			}
		}
		s.drip(w, req, step.Op == "drip")
	default:
		return false
	}
	return true
}

// drip writes bytes that might be of a listing or of a pack: one now and
// then, or without end.
func (s *scripts) drip(w http.ResponseWriter, req *http.Request, slow bool) {
	if strings.HasSuffix(req.URL.Path, "info/refs") {
		first := strings.Repeat("a", 40) + " HEAD\x00agent=git/2.50\n"
		_, _ = w.Write([]byte(pkt("# service=git-upload-pack\n") + "0000" + pkt(first)))
		if slow {
			_, _ = w.Write([]byte("fff0" + strings.Repeat("a", 40) + " "))
		}
	}
	chunk, wait := bytes.Repeat([]byte(pkt(strings.Repeat("a", 40)+" refs/heads/"+strings.Repeat("x", 60000)+"\n")), 10), time.Microsecond
	switch isPack := !strings.HasSuffix(req.URL.Path, "info/refs"); {
	case isPack && slow: // the start of a blob of 96 MiB, which isn't compressed
		_, _ = w.Write([]byte("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x01\xb0\x80\x80\x80\x03\x78\x01\x00\xff\xff\x00\x00"))
	case isPack: // as many objects as any pack may have
		_, _ = w.Write([]byte("0008NAK\nPACK\x00\x00\x00\x02\x00\x40\x00\x00"))
		chunk = largeEntry(1 << 20)
	}
	if slow {
		chunk, wait = []byte("0"), 300*time.Millisecond
	}
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for {
		select {
		case <-req.Context().Done():
			return
		case <-s.done:
			return
		case <-tick.C:
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok && slow {
			f.Flush()
		}
	}
}

func pkt(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

// listing is the listing of refs.
func (r *script) listing() []byte {
	capabilities := "ofs-delta no-progress symref=HEAD:refs/heads/main agent=git/2.50"
	if _, ok := r.step("pack", "sideband-error"); ok {
		capabilities += " side-band-64k"
	}
	for _, step := range r.of("refs") {
		if step.Op == "capability" {
			capabilities += " " + step.Args[0]
		}
	}
	var b bytes.Buffer
	b.WriteString(pkt("# service=git-upload-pack\n") + "0000")
	b.WriteString(pkt(r.tip + " HEAD\x00" + capabilities + "\n"))
	refs := []string{"refs/heads/main"}
	for _, step := range r.of("refs") {
		switch step.Op {
		case "ref":
			refs = append(refs, step.Args[0])
		case "count":
			n, _ := strconv.Atoi(step.Args[0])
			for i := range n {
				refs = append(refs, fmt.Sprintf("refs/heads/n%07d", i))
			}
		}
	}
	for _, ref := range refs {
		b.WriteString(pkt(r.tip + " " + ref + "\n"))
	}
	b.WriteString("0000")
	return b.Bytes()
}

// pack is the answer to a request for a pack.
func (r *script) pack() []byte {
	pack := r.objects.pack()
	done := func(p []byte) []byte { return append([]byte("0008NAK\n"), p...) }
	for _, step := range r.of("pack") {
		switch step.Op {
		case "cut":
			return done(pack[:len(pack)/2])
		case "flip":
			p := summed(pack)
			p[len(p)/2] ^= 0x10
			return done(p)
		case "checksum":
			return done(append(bytes.Clone(pack), make([]byte, 20)...))
		case "count":
			n, _ := strconv.Atoi(step.Args[0])
			p := bytes.Clone(pack)
			for i := range 4 {
				p[8+i] = byte(n >> (24 - 8*i))
			}
			return done(summed(p))
		case "delta-bomb":
			return done(summed(deltaBomb(r.objects)))
		case "delta-orphan":
			return done(summed(withDelta(r.objects, bytes.Repeat([]byte{0xab}, 20))))
		case "delta-self":
			return done(summed(withOffset(r.objects)))
		case "inflate":
			n, _ := strconv.Atoi(step.Args[0])
			return done(summed(withZeros(r.objects, 10, n)))
		case "huge":
			n, _ := strconv.Atoi(step.Args[0])
			return done(summed(withBlob(r.objects, n, []byte("few"))))
		case "sideband-error":
			return []byte("0008NAK\n" + pkt("\x03"+step.Args[0]) + "0000")
		}
	}
	return done(summed(pack))
}

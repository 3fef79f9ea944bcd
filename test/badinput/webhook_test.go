// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha1" // the algorithm of old, which must not count
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	atOnce    = 200                    // requests of a flood: each is a connection
	lookAgain = 100 * time.Millisecond // what webhooks cause at most is one look in that
	pollAgain = 2 * time.Second        // and the poll of [stage.healthyDeclaration]
)

// driveWebhook sends each request as it is written, over a connection of its
// own, and rings in the regular way at the end.
func driveWebhook(t *testing.T, s *stage, inputs []Input) {
	secrets := filepath.Join(s.Dir, "webhook-secrets")
	secret, err := os.ReadFile(filepath.Join(secrets, "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "newlines": "\n\r\n\n", "undeclared": string(secret)} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(secrets, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.each(t, inputs, func(t *testing.T, in Input) {
		w, err := newRequest(in, secret)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		before, begun, room := s.Git.Listings("corpus"), time.Now(), make(chan struct{}, atOnce)
		for range w.repeat {
			room <- struct{}{}
			group.Go(func() { w.check(t, s, in); <-room })
		}
		group.Wait()
		took := time.Since(begun)
		looks, most := s.Git.Listings("corpus")-before, 3+int(took/lookAgain)+int(took/pollAgain)
		if w.repeat > 1 {
			t.Logf("%d requests in %s led to %d looks", w.repeat, took.Round(time.Millisecond), looks)
		}
		if looks > most {
			t.Errorf("%d requests in %s led to %d looks, and %d are the most", w.repeat, took, looks, most)
		}
	})
	if err := s.Ring(s.alive, s.corpus); err != nil {
		t.Errorf("the webhook afterwards: %v", err)
	}
}

// written is a request as its bytes.
type written struct {
	bytes  []byte
	repeat int
}

// newRequest writes a request: its first line and headers as they stand, a
// Host, a length and a body where nothing says otherwise. X-Raw, X-No-Host
// and X-Repeat are for this program and not sent.
func newRequest(in Input, secret []byte) (written, error) {
	w := written{repeat: 1}
	entries, err := in.Tree()
	if err != nil {
		return w, err
	}
	var body []byte
	for _, e := range entries {
		if e.Path == "body" {
			body = e.Data
		}
	}
	right := sign(sha256.New, secret, body)
	head := strings.NewReplacer(
		"${signature}", right, "${half}", right[:32], "${sha1}", sign(sha1.New, secret, body),
		"${signature-of-nothing}", sign(sha256.New, secret, nil), "${signature-by-nothing}", sign(sha256.New, nil, body),
	).Replace(in.Parts["request"])
	var lines []string
	raw, host := false, true
	for line := range strings.SplitSeq(strings.TrimRight(head, "\n"), "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "X-Raw":
			raw = true
		case "X-No-Host":
			host = false
		case "X-Repeat":
			if w.repeat, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return w, err
			}
		default:
			lines = append(lines, line)
		}
	}
	if host {
		lines = append(lines, "Host: watcher")
	}
	has := func(header string) bool { return strings.Contains(head, "\n"+header) }
	switch {
	case has("Transfer-Encoding") && !raw:
		body = chunked(body)
	case !has("Content-Length") && !has("Transfer-Encoding"):
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	w.bytes = append([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), body...)
	return w, nil
}

func sign(algorithm func() hash.Hash, secret, body []byte) string {
	mac := hmac.New(algorithm, secret)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func chunked(body []byte) []byte {
	var out []byte
	for len(body) > 0 {
		n := min(len(body), 64<<10)
		out = append(fmt.Appendf(out, "%x\r\n", n), body[:n]...)
		out = append(out, "\r\n"...)
		body = body[n:]
	}
	return append(out, "0\r\n\r\n"...)
}

// check sends a request and holds the answer to what is wanted.
func (w written) check(t *testing.T, s *stage, in Input) {
	t.Helper()
	address, err := url.Parse(s.WebhookURL(s.corpus.Name))
	if err != nil {
		t.Error(err)
		return
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.alive, func() { _ = conn.Close() })() // an answer is waited for no more
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
		return
	}
	go func() { _, _ = conn.Write(w.bytes) }() // who is refused early doesn't read it all
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || len(body) > maxMessage {
		t.Errorf("an answer of %d bytes (%v)", len(body), err)
	}
	if answer.StatusCode != in.Want.Status {
		t.Errorf("%s %q, want %d", answer.Status, body, in.Want.Status)
	}
	for _, part := range in.Want.Says {
		if !strings.Contains(string(body), part) {
			t.Errorf("it says %q, and not %q", body, part)
		}
	}
	if hidden := s.reveals(string(body)); hidden != "" {
		t.Errorf("it names %s: %q", hidden, body)
	}
}

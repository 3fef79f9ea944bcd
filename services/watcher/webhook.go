// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	// maxBody is the most that a webhook may send.
	maxBody = 1 << 20
	// quiet is the least time between two looks that webhooks cause at one
	// repository; what comes in between is one look at its end.
	quiet = 100 * time.Millisecond
)

// webhook answers POST /webhook/<repository>. A signed request means "look
// now" and nothing else: its body is authenticated and never parsed.
type webhook struct {
	directory string // of the secrets: DIR/<repository> is a file
	look      func(repository string) bool
	log       *slog.Logger
	// heard is told, before the look, the span of the request that asks for
	// it; tracer makes it. Both may be nil.
	heard  func(repository string, span trace.SpanContext)
	tracer trace.Tracer

	mu     sync.Mutex
	recent map[string]time.Time // when a repository was last looked at, or will be
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	repository, ok := strings.CutPrefix(r.URL.Path, "/webhook/")
	if !ok || !singleName(repository) {
		http.Error(w, "want POST /webhook/<repository>", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	if r.ContentLength > maxBody {
		http.Error(w, "the body is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			http.Error(w, "the body is larger than 1 MiB", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	// An unknown repository has no secret, and its answer is the same as that
	// to a wrong signature: names can't be tried out.
	if !h.signed(repository, r.Header.Values("X-Hub-Signature-256"), body) {
		http.Error(w, "X-Hub-Signature-256 is missing or wrong, or no secret is set for the repository", http.StatusUnauthorized)
		return
	}
	end := h.trace(r, repository)
	if !h.debounce(repository) {
		end(http.StatusNotFound)
		http.Error(w, "the fleet declares no such repository", http.StatusNotFound)
		return
	}
	end(http.StatusAccepted)
	w.WriteHeader(http.StatusAccepted)
}

// trace starts the span of a signed request. What others send as a trace of
// theirs is not gone into.
func (h *webhook) trace(r *http.Request, repository string) (end func(status int)) {
	if h.tracer == nil {
		return func(int) {}
	}
	_, span := h.tracer.Start(r.Context(), "POST /webhook/{repository}", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodPost, semconv.HTTPRoute("/webhook/{repository}"), semconv.URLPath(r.URL.Path)))
	h.heard(repository, span.SpanContext())
	return func(status int) {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		span.End()
	}
}

// signed checks the one signature header that there has to be. The secret is
// read each time, so a changed file counts at once; an empty one signs
// nothing.
func (h *webhook) signed(repository string, headers []string, body []byte) bool {
	if h.directory == "" || len(headers) != 1 {
		return false
	}
	secret, err := os.ReadFile(filepath.Join(h.directory, repository))
	if errors.Is(err, fs.ErrNotExist) {
		// What stands in the path is anybody's text, or a token: it isn't repeated.
		h.log.Warn("webhook refused: there is no secret for the repository that its path names", "folder", h.directory)
		return false
	}
	if err != nil {
		h.log.Warn("webhook refused: its secret can't be read", "repository", repository, "error", err)
		return false
	}
	secret = []byte(strings.TrimRight(string(secret), "\r\n"))
	if len(secret) == 0 {
		h.log.Warn("webhook refused: its secret is empty", "repository", repository)
		return false
	}
	text, ok := strings.CutPrefix(headers[0], "sha256=")
	got, err := hex.DecodeString(text)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// debounce looks at once, or at the end of the quiet time after the look
// before. It is false where there is no such repository.
func (h *webhook) debounce(repository string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recent == nil {
		h.recent = map[string]time.Time{}
	}
	now := time.Now()
	last := h.recent[repository]
	switch {
	case last.After(now):
		return true // one is due already
	case now.Sub(last) >= quiet:
		if !h.look(repository) {
			return false
		}
		h.recent[repository] = now
		return true
	}
	next := last.Add(quiet)
	h.recent[repository] = next
	time.AfterFunc(next.Sub(now), func() { h.look(repository) })
	return true
}

// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is what a request asks for.
type Kind string

const (
	List  Kind = "list"  // the refs, to fetch
	Fetch Kind = "fetch" // a pack
	Push  Kind = "push"  // either step of a push
	Other Kind = "other"
)

func kindOf(r *http.Request) Kind {
	switch {
	case strings.HasSuffix(r.URL.Path, "/info/refs") && r.URL.Query().Get("service") == "git-upload-pack":
		return List
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		return Fetch
	case strings.HasSuffix(r.URL.Path, "/git-receive-pack"), r.URL.Query().Get("service") == "git-receive-pack":
		return Push
	}
	return Other
}

// repositoryOf is the name of the repository that a request is about.
func repositoryOf(r *http.Request) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	return name
}

// backend is git http-backend for the bare repositories below root.
func backend(root string) (http.Handler, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("git server: the git command is needed: %w", err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: append(environment(),
			"GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=anyone"),
	}, nil
}

// environment keeps the caller's configuration of git out.
func environment() []string {
	return []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=3",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=gc.auto", "GIT_CONFIG_VALUE_1=0",
		"GIT_CONFIG_KEY_2=maintenance.auto", "GIT_CONFIG_VALUE_2=false", // else a process that finds nothing to do
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	s.mu.Lock()
	s.counts[kind]++
	if kind == List {
		s.listings[repositoryOf(r)]++
	}
	if r.Header.Get("Authorization") != "" {
		s.sawAuth = true
	}
	fault, username, password := s.fault, s.username, s.password
	s.mu.Unlock()

	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if username+password != "" && !authorised(r, username, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials are missing or wrong", http.StatusUnauthorized)
			return
		}
		if r.ContentLength < 0 && !unchunk(w, r) {
			return
		}
		s.backend.ServeHTTP(&counter{ResponseWriter: w, server: s, kind: kind}, r)
	}))
	if fault != nil {
		handler = fault(handler)
	}
	handler.ServeHTTP(w, r)
}

func authorised(r *http.Request, username, password string) bool {
	u, p, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(u), []byte(username)) == 1 &&
		subtle.ConstantTimeCompare([]byte(p), []byte(password)) == 1
}

// unchunk reads a chunked body whole: CGI wants its length beforehand.
func unchunk(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return true
}

type counter struct {
	http.ResponseWriter
	server *Server
	kind   Kind
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.server.mu.Lock()
	c.server.served[c.kind] += int64(n)
	c.server.mu.Unlock()
	return n, err
}

// Count is how many HTTP requests of a kind came since the start.
func (s *Server) Count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[kind]
}

// Listings is how often the refs of a repository were asked for over HTTP since
// the start, to fetch.
func (s *Server) Listings(repository string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listings[repository]
}

// Served is how many bytes of bodies were sent for a kind since the start.
func (s *Server) Served(kind Kind) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[kind]
}

// SawAuthorization says whether any request so far carried credentials.
func (s *Server) SawAuthorization() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sawAuth
}

// SetCredentials changes what is asked for over HTTP; empty: nothing.
func (s *Server) SetCredentials(username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.username, s.password = username, password
}

// SPDX-License-Identifier: Apache-2.0

package slackserver

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is a way to fail.
type Fault struct {
	name  string
	keeps bool // the message is taken all the same
	reply func(w http.ResponseWriter, r *http.Request, done <-chan struct{})
}

func (f Fault) String() string { return f.name }

func (f Fault) answer(w http.ResponseWriter, r *http.Request, done <-chan struct{}) {
	f.reply(w, r, done)
}

const page = `<!DOCTYPE html><html><head><title>Slack</title></head><body><h1>We'll be back soon</h1></body></html>`

// TooMany answers 429; after is its Retry-After in whole seconds.
func TooMany(after time.Duration) Fault {
	return Fault{name: "429", reply: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
		w.WriteHeader(http.StatusTooManyRequests)
	}}
}

// Status answers a status of HTTP, with a page for people.
func Status(code int) Fault {
	return Fault{name: strconv.Itoa(code), reply: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprint(w, page)
	}}
}

// HTML answers 200, and a page instead of JSON.
func HTML() Fault { f := Status(http.StatusOK); f.name = "html"; return f }

// Body answers 200 with a body of any type.
func Body(contentType, body string) Fault {
	return Fault{name: "body", reply: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body) // the client may go
	}}
}

// Redirect sends the request, and who follows it its token, elsewhere.
func Redirect(code int, to string) Fault {
	return Fault{name: "redirect", reply: func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		http.Redirect(w, r, to, code)
	}}
}

// Refuse answers with an error of Slack's, as channel_not_found.
func Refuse(code string) Fault {
	return Fault{name: code, reply: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprintf(w, `{"ok":false,"error":%q}`, code)
	}}
}

// Hang answers nothing until the client gives up.
func Hang() Fault {
	return Fault{name: "hang", reply: func(_ http.ResponseWriter, r *http.Request, done <-chan struct{}) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}}
}

// Lose takes the message and breaks the connection before the answer.
func Lose() Fault {
	return Fault{name: "lost", keeps: true, reply: func(http.ResponseWriter, *http.Request, <-chan struct{}) {
		panic(http.ErrAbortHandler)
	}}
}

// Next has the next requests fail so, one each.
func (s *Server) Next(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, faults...)
}

// Down has every request fail so, until Up.
func (s *Server) Down(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = &f
}

// Up ends what Down began.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = nil
}

// About has every message that holds a text fail so, until Clear; the others are
// taken.
func (s *Server) About(text string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.about == nil {
		s.about = map[string]Fault{}
	}
	s.about[text] = f
}

// Clear ends what About began.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.about)
}

// fault is how the present request is to fail; nil: not at all.
func (s *Server) fault(form url.Values) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	for text, f := range s.about {
		for _, values := range form {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, text) }) {
				return &f
			}
		}
	}
	if len(s.next) == 0 {
		return nil
	}
	f := s.next[0]
	s.next = s.next[1:]
	return &f
}

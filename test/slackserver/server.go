// SPDX-License-Identifier: Apache-2.0

package slackserver

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a [Server] keeps to.
type Options struct {
	Token    string   // that it takes; default [Token]
	Channels []string // that there are, by name; default ops
	// Rate is the least time between two messages of a channel, updates
	// included; what comes sooner is answered 429. 0: whatever comes is taken.
	Rate time.Duration
}

// Token is taken by default.
const Token = "xoxb-not-a-real-token" //nolint:gosec // it opens nothing

// Server is a running receiver. It is safe for concurrent use.
type Server struct {
	options  Options
	http     *http.Server
	listener net.Listener
	done     chan struct{}

	mu       sync.Mutex
	channels []*channel
	calls    []Call
	next     []Fault
	down     *Fault
	about    map[string]Fault // by a text that the request holds
	stored   func(Message)
	count    int
}

// channel is one channel and what was posted to it.
type channel struct {
	id, name string
	messages []*Message
	written  time.Time // when a message was last taken
}

// Message is a message as it stands, its updates made.
type Message struct {
	TS     string
	Thread string // ts of the message that it replies to; empty: it begins a thread
	Text   string // as it was sent
	Color  string // of the bar before it
	Body   []string
	Time   time.Time
	// Updates are when it was changed, and Before what Text was.
	Updates []time.Time
	Before  []string
}

// Call is one request and what was answered.
type Call struct {
	Method string // chat.postMessage
	Time   time.Time
	Answer string // ok, an error code of Slack's, or what the fault was
}

// Listen starts a receiver on a free port of 127.0.0.1.
func Listen(o Options) (*Server, error) {
	if o.Token == "" {
		o.Token = Token
	}
	if len(o.Channels) == 0 {
		o.Channels = []string{"ops"}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{options: o, listener: l, done: make(chan struct{})}
	for n, name := range o.Channels {
		s.channels = append(s.channels, &channel{id: fmt.Sprintf("C%09d", n+1), name: strings.TrimPrefix(name, "#")})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.serve)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l) //nolint:errcheck // it ends with Close
	return s, nil
}

// URL is where its Web API begins.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/api/" }

// Close stops it; what hangs ends.
func (s *Server) Close() error {
	close(s.done)
	return s.http.Close()
}

// Messages are all messages in the order in which they came.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, c := range s.channels {
		for _, m := range c.messages {
			all = append(all, m.copy())
		}
	}
	slices.SortStableFunc(all, func(a, b Message) int { return a.Time.Compare(b.Time) })
	return all
}

func (m *Message) copy() Message {
	c := *m
	c.Body, c.Updates, c.Before = slices.Clone(m.Body), slices.Clone(m.Updates), slices.Clone(m.Before)
	return c
}

// Threads are the messages that began one, each with its replies behind it.
func (s *Server) Threads() [][]Message {
	all := s.Messages()
	var threads [][]Message
	for _, m := range all {
		if m.Thread != "" {
			continue
		}
		thread := []Message{m}
		for _, r := range all {
			if r.Thread == m.TS {
				thread = append(thread, r)
			}
		}
		threads = append(threads, thread)
	}
	return threads
}

// Calls are all requests so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Stored has fn called with each message that is posted, after it is there and
// before the answer is sent; nil: no more.
func (s *Server) Stored(fn func(Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = fn
}

// Delete removes a message, as somebody in the channel may.
func (s *Server) Delete(ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.channels {
		c.messages = slices.DeleteFunc(c.messages, func(m *Message) bool { return m.TS == ts })
	}
}

// answer is what a call comes to.
type answer struct {
	code    string // ok, or Slack's error
	channel *channel
	message *Message
	limited bool
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if f := s.fault(r.PostForm); f != nil {
		s.called(method, f.String())
		if !f.keeps {
			f.answer(w, r, s.done)
			return
		}
		s.call(method, r)
		f.answer(w, r, s.done)
		return
	}
	a := s.call(method, r)
	s.called(method, a.code)
	if a.code == "ok" && method == "chat.postMessage" {
		s.mu.Lock()
		stored, m := s.stored, a.message.copy()
		s.mu.Unlock()
		if stored != nil {
			stored(m)
		}
	}
	s.write(w, a)
}

func (s *Server) called(method, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{method, time.Now(), code})
}

func (s *Server) write(w http.ResponseWriter, a answer) {
	if a.limited {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	body := map[string]any{"ok": a.code == "ok"}
	if a.code != "ok" {
		body["error"] = a.code
	}
	if a.message != nil {
		body["channel"], body["ts"] = a.channel.id, a.message.TS
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // the client has gone
}

// call does what a request asks for, as far as Slack would.
func (s *Server) call(method string, r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := r.PostForm.Get("token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	switch {
	case token == "":
		return answer{code: "not_authed"}
	case token != s.options.Token:
		return answer{code: "invalid_auth"}
	case method == "auth.test":
		return answer{code: "ok"}
	case method != "chat.postMessage" && method != "chat.update":
		return answer{code: "unknown_method"}
	}
	name := r.PostForm.Get("channel")
	n := slices.IndexFunc(s.channels, func(c *channel) bool {
		return c.id == name || method == "chat.postMessage" && c.name == strings.TrimPrefix(name, "#")
	})
	if n < 0 {
		return answer{code: "channel_not_found"}
	}
	c := s.channels[n]
	m, code := read(r.PostForm)
	if code != "" {
		return answer{code: code}
	}
	now := time.Now()
	if now.Sub(c.written) < s.options.Rate {
		return answer{code: "ratelimited", limited: true}
	}
	if method == "chat.update" {
		m, code = c.update(r.PostForm.Get("ts"), m, now)
	} else {
		s.count++
		m.TS, m.Time = fmt.Sprintf("%d.%06d", now.Unix(), s.count), now
		code = c.post(m, r.PostForm.Get("thread_ts"))
	}
	if code != "" {
		return answer{code: code}
	}
	c.written = now
	return answer{code: "ok", channel: c, message: m}
}

func (c *channel) find(ts string) *Message {
	for _, m := range c.messages {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

func (c *channel) post(m *Message, thread string) (code string) {
	if thread != "" {
		parent := c.find(thread)
		switch {
		case parent == nil:
			return "thread_not_found"
		case parent.Thread != "":
			return "cannot_reply_to_message"
		}
		m.Thread = thread
	}
	c.messages = append(c.messages, m)
	return ""
}

func (c *channel) update(ts string, to *Message, now time.Time) (m *Message, code string) {
	m = c.find(ts)
	if m == nil {
		return nil, "message_not_found"
	}
	m.Updates, m.Before = append(m.Updates, now), append(m.Before, m.Text)
	m.Text, m.Color, m.Body = to.Text, to.Color, to.Body
	return m, ""
}

// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// secretToken is Slack's, and must be nowhere else.
const secretToken = "xoxb-canary-token" //nolint:gosec // it opens nothing

// driveSlack starts a notifier for each input, as a process, on a bus of its
// own: what Slack answers to one alert holds up the next. An answer is one
// line each, which the notifier's first requests get in turn; what comes after
// is taken:
//
//	refuse CODE | html | status N | hang | lose | too-many SECONDS
//	redirect CODE | body TYPE TEXT…   generated as in [Input.Tree]
//	alone CODE                        every message gets that status, and all else is answered
//	tls FAULT                         its first connections, before it has the right
//	                                  certificate; of [frontOf]
//
// in/message, where it is given, is the message of the event that is told.
func driveSlack(t *testing.T, corpus *stage, inputs []Input) {
	corpus.each(t, inputs, func(t *testing.T, in Input) {
		t.Parallel()
		s := newSlackStage(t, in)
		s.canaries = corpus.canaries
		s.tell(t, "first")
		s.check(corpus.alive, t)
	})
}

// slackStage is one notifier between a bus and a Slack.
type slackStage struct {
	in       Input
	canaries *canaries
	bus      *bustest.Server
	slack    *slackserver.Server
	notifier *rig.Process
	seen     *rig.Subscriber
	followed atomic.Bool // a redirect led to another host
	leaked   atomic.Bool // the token came there
	front    *front      // nil: it is spoken to in the clear
	text     string
	count    int
}

func newSlackStage(t *testing.T, in Input) *slackStage {
	t.Helper()
	s := &slackStage{in: in, bus: bustest.Start(t), text: "the API server refuses it"}
	if text, err := in.Text("message"); err == nil {
		s.text = strings.TrimSpace(text)
	}
	var err error
	if s.slack, err = slackserver.Listen(slackserver.Options{Token: secretToken}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.slack.Close() })
	faults, err := s.faults(t)
	if err != nil {
		t.Fatal(err)
	}
	s.slack.Next(faults...)
	if s.seen, err = rig.Subscribe(t.Context(), s.bus.URL(), s.bus.Config("reader").Creds); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.seen.Close)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(secretToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, trust := s.slack.URL(), []string(nil)
	if s.front != nil {
		address, trust = s.front.url, []string{"SSL_CERT_FILE=" + s.front.authority}
	}
	s.notifier = &rig.Process{Env: trust, Name: "notifier", Path: filepath.Join(programs, "notifier"), Dir: dir, Args: []string{
		"--nats-url", s.bus.URL(), "--nats-creds", s.bus.Config("notifier").Creds,
		"--slack-url", address, "--slack-token-file", token, "--slack-channel", "ops",
	}}
	if err := s.notifier.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.notifier.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// faults reads the lines of an input's answer.
func (s *slackStage) faults(t *testing.T) ([]slackserver.Fault, error) {
	t.Helper()
	steps, err := parseSteps(strings.ReplaceAll("answer "+strings.TrimSpace(s.in.Parts["answer"]), "\n", "\nanswer "))
	if err != nil || s.in.Parts["answer"] == "" {
		return nil, nil //nolint:nilerr // none is asked for
	}
	var faults []slackserver.Fault
	for _, step := range steps {
		number := 0
		if len(step.Args) > 0 {
			number, _ = strconv.Atoi(step.Args[0]) // where it is one
		}
		switch step.Op {
		case "refuse":
			faults = append(faults, slackserver.Refuse(step.Args[0]))
		case "html":
			faults = append(faults, slackserver.HTML())
		case "status":
			faults = append(faults, slackserver.Status(number))
		case "hang":
			faults = append(faults, slackserver.Hang())
		case "lose":
			faults = append(faults, slackserver.Lose())
		case "too-many":
			faults = append(faults, slackserver.TooMany(time.Duration(number)*time.Second))
		case "alone":
			s.slack.About(s.text, slackserver.Status(number))
		case "tls":
			s.front = frontOf(t, s.slack.URL(), step.Args[0])
		case "redirect":
			faults = append(faults, slackserver.Redirect(number, s.other(t)))
		case "body":
			text, err := generated(step.Args[1:])
			if err != nil {
				return nil, err
			}
			faults = append(faults, slackserver.Body(step.Args[0], string(text)))
		default:
			return nil, fmt.Errorf("no answer %q", step.Op)
		}
	}
	return faults, nil
}

// other is the address of a host that waits for a token.
func (s *slackStage) other(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.followed.Store(true)
		_ = r.ParseForm() // what can't be parsed holds no token
		if r.Header.Get("Authorization") != "" || r.Form.Get("token") != "" {
			s.leaked.Store(true)
		}
		fmt.Fprint(w, `{"ok":true,"ts":"1.2","channel":"C1"}`)
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String() + "/"
}

// tell publishes what an alert is about.
func (s *slackStage) tell(t *testing.T, application string) {
	t.Helper()
	s.count++
	conn := s.bus.Connect(t, "applier-local")
	object := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "a"}
	cause := events.Cause{ID: fmt.Sprintf("bad/%d", s.count), Correlation: application + "@c"}
	_, err := conn.Publish(t.Context(), cause, events.Draft{
		Address: events.Address{Cluster: "local", Application: application},
		Data: &events.ConvergenceFailed{
			Converging: events.Converging{Revision: events.Revision{Commit: strings.Repeat("1", 40), Title: s.text, Author: events.Person{Name: s.text}}, Cause: "revision"},
			Reason:     events.ReasonRefused, Message: s.text, Failed: 1,
			Failures: []events.ObjectFailure{{Object: object, Message: s.text}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// markup is what Slack makes a mention or a link of.
var markup = regexp.MustCompile(`<[^<>]*>`)

// mention is the first mention or link in a text of Slack's that isn't one to a
// playbook, the only ones that Plumbline makes; empty: there is none.
func mention(text string) string {
	for _, found := range markup.FindAllString(text, -1) {
		if !strings.HasPrefix(found, "<"+playbooks.DefaultBase) {
			return found
		}
	}
	return ""
}

// slackIsSafe looks at all that the notifier beside the corpus told, as it
// stands and as it stood.
func (s *stage) slackIsSafe(t *testing.T) {
	t.Helper()
	messages := s.slack.Messages()
	about := false
	for _, m := range messages {
		for _, text := range slices.Concat(m.Body, m.Before, []string{m.Text}) {
			if found := mention(text); found != "" {
				t.Errorf("Slack makes something of %q in %.300s", found, text)
			}
			if hidden := s.reveals(text) + s.canaries.in([]byte(text)); hidden != "" {
				t.Errorf("Slack is told too much (%s): %.300s", hidden, text)
			}
			about = about || slices.ContainsFunc(s.inputs, func(in Input) bool { return strings.Contains(text, in.ID()) })
		}
	}
	failing := slices.ContainsFunc(s.inputs, func(in Input) bool { return in.isApplication() && refuses(in.Want) })
	if failing && !about {
		t.Errorf("%d messages in Slack, and none is about an input", len(messages))
	}
	t.Logf("the notifier told Slack %d messages", len(messages))
}

// check awaits what is wanted, and looks at what Slack holds in the end.
func (s *slackStage) check(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var heard statement
	_, err := s.seen.Wait(ctx, 0, func(e rig.Seen) bool {
		if e.Type.Name() != "alert.failed" && e.Type.Name() != "alert.delivered" {
			return false
		}
		heard = said(e.Event)
		return heard.event == s.in.Want.Event
	})
	if err != nil {
		t.Fatalf("%v; last said: %s; calls %v; the notifier says\n%s", err, heard, s.slack.Calls(), s.notifier.Tail(8))
	}
	if s.followed.Load() {
		t.Errorf("a redirect to another host was followed, with the token: %v", s.leaked.Load())
	}
	want := s.in.Want
	if want.Event == "alert.delivered" {
		messages := s.slack.Messages()
		if len(messages) == 0 {
			t.Fatal("delivered, and Slack holds nothing")
		}
		for _, m := range messages {
			heard.messages = append(heard.messages, append(m.Body, m.Text)...)
		}
	}
	if wrong := want.wrong(heard); wrong != "" {
		t.Error(wrong)
	}
	for _, m := range heard.messages {
		if found := mention(m); found != "" {
			t.Errorf("Slack makes something of %q", found)
		}
	}
	if s.front != nil && (s.front.met.Load() <= impostors || s.front.served.Load() > 0) {
		t.Errorf("of %d connections %d impostors, which were sent %d requests", s.front.met.Load(), impostors, s.front.served.Load())
	}
	if !s.notifier.Running() {
		t.Errorf("the notifier has ended:\n%s", s.notifier.Tail(20))
	}
	log := s.notifier.Tail(1000)
	if found := s.canaries.in([]byte(log)); found != "" || strings.Contains(log, "goroutine ") {
		t.Errorf("the log holds too much (%s):\n%.2000s", found, log)
	}
	for _, e := range s.seen.Since(0) {
		if found := s.canaries.in([]byte(said(e.Event).String())); found != "" {
			t.Errorf("an event holds a secret: %s", found)
		}
	}
}

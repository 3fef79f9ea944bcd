// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/test/seed"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

var hostile = []string{
	"<!channel> look", "<!here|here>", "<@U024BE7LH>", "<#C024BE7LR>", "<https://evil.example.com|a fine page>", "https://evil.example.com/x",
	"mailto:eve@example.com", "@channel @here", "a & b &lt;!channel&gt;", "line\nbreak\r\n> quote", "nul\x00bell\x07esc\x1b[31mred",
	"\u202egnp.exe", "zero\u200bwidth", "`code` ```block```", "*bold* ~struck~ _italic_", "'; drop table; $(rm -rf /) `id`", "\xff\xfe broken", strings.Repeat("10 kB ", 1700), strings.Repeat("&", 10000),
	":rotating_light:", "{\"type\":\"mrkdwn\"}",
}

var (
	special = regexp.MustCompile(`<[^>]*>`) // what Slack makes something of
	quoted  = regexp.MustCompile("`[^`]*`") // what is shown as code
	// A blank behind it, as between an author of that name and a title, makes
	// no address of a mailto.
	bare = regexp.MustCompile(`://|@channel|@here|mailto:\S`)
)

// TestHostileText puts hostile text into every place that a cluster or Git can
// write to: Slack takes each message, and makes a mention or a link of nothing
// but the playbook's.
func TestHostileText(t *testing.T) {
	n := &notifier{cfg: Config{Playbooks: playbooks.DefaultBase}}
	slack := listen(t, slackserver.Options{})
	client := newClient(configOf(t, slack), quick.request)
	for _, text := range hostile {
		for _, s := range hostileStates(text) {
			for _, m := range []message{n.first(s), n.reply(s), n.digestOf(briefs(s))} {
				for _, part := range append([]string{m.text, m.context}, m.details...) {
					checkText(t, part)
				}
				if _, _, err := client.post(t.Context(), "ops", "", m); err != nil {
					t.Errorf("Slack refuses a message with %q: %v", clean(text, 40), err)
				}
			}
		}
	}
}

func checkText(t *testing.T, part string) {
	t.Helper()
	if !utf8.ValidString(part) || utf8.RuneCountInString(part) > 3000 {
		t.Errorf("%d runes, valid: %t", utf8.RuneCountInString(part), utf8.ValidString(part))
	}
	for _, found := range special.FindAllString(part, -1) {
		if !strings.HasPrefix(found, "<"+playbooks.DefaultBase) || !strings.HasSuffix(found, "|what to do>") {
			t.Errorf("Slack makes something of %q in %q", found, part)
		}
	}
	if bad := bare.FindString(quoted.ReplaceAllString(special.ReplaceAllString(part, ""), "")); bad != "" {
		t.Errorf("%q outside of code in %q", bad, part)
	}
	if strings.Count(part, "`")%2 != 0 {
		t.Errorf("code that doesn't end: %q", part)
	}
	for _, r := range part {
		if r != '\n' && r != '\u2060' && !unicode.IsGraphic(r) {
			t.Errorf("%U in %q", r, part)
		}
	}
}

func hostileStates(text string) []state {
	object := events.Object{Group: text, Version: "v1", Kind: text, Namespace: text, Name: text}
	revision := events.Revision{Commit: text, Title: text, Author: events.Person{Name: text}}
	var fields []events.FieldDifference
	var failures []events.ObjectFailure
	for range events.MaxInline {
		fields = append(fields, events.FieldDifference{Path: text, Desired: text, Live: text})
		failures = append(failures, events.ObjectFailure{Object: object, Message: text, File: text, Line: 7})
	}
	divergence := events.Divergence{
		Kind: events.DivergenceKind(text), Object: &object, Since: testTime, Revision: revision, Fields: fields, Message: text, File: text, Line: 3,
		Writer: &events.Writer{Manager: text, Operation: text, Subresource: text}, Declared: events.Change{Commit: text, Author: text},
	}
	at := events.Address{Cluster: text, Application: text, Key: "k"}
	var states []state
	for _, p := range []events.Payload{
		&events.DivergencePersisted{Divergence: divergence}, &events.DivergenceResolved{Divergence: divergence, How: text},
		&events.RenderFailed{Revision: revision, Reason: events.Reason(text), Message: text, File: text, Object: &object},
		&events.CommitRejected{Commit: text, Author: revision.Author, Reason: events.Reason(text), Message: text},
		&events.ConvergenceFailed{Converging: events.Converging{Revision: revision}, Reason: events.Reason(text), Message: text, Failures: failures, Failed: 1000},
		&events.ConvergenceHeld{Converging: events.Converging{Revision: revision}, Reason: events.Reason(text), Message: text, Hold: text},
		&events.SourceUnreachable{Repository: text, Reason: events.Reason(text), Message: text},
		&events.FleetRejected{Kind: text, Name: text, File: text, Commit: text, Problems: []events.Problem{{Field: text, Message: text}}},
	} {
		var view incident.View
		view.Add(events.Event{Type: events.TypeOf(p), Address: at, Data: p, Stored: 1, Time: testTime, Traceparent: text})
		for _, i := range append(view.Open(), view.Closed()...) {
			states = append(states, state{Incident: i, exists: true})
			if i.Open() {
				i.Closed = &incident.Closing{How: text, Time: testTime, Commit: text}
				states = append(states, state{Incident: i, exists: true})
			}
		}
	}
	return states
}

// briefs are many of an incident that is over.
func briefs(s state) []state {
	if s.Open() {
		s.Closed = &incident.Closing{How: "so", Time: testTime}
	}
	all := make([]state, 300)
	for n := range all {
		all[n] = s
	}
	return all
}

func configOf(t *testing.T, s *slackserver.Server) Config {
	t.Helper()
	return configFor(t, nil, s)
}

// What is redacted stays so, and nothing is shown of a Secret's values.
func TestRedacted(t *testing.T) {
	i := incident.Incident{Fields: []events.FieldDifference{{Path: "/data/password", Desired: "c2VjcmV0", Live: "b3RoZXI=", Redacted: true}}, FieldCount: 3}
	text := strings.Join(fields(i), "\n")
	contains(t, text, "`/data/password`: the values of a Secret are not shown", "and 2 more")
	if strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "b3RoZXI=") {
		t.Errorf("shown: %s", text)
	}
}

func TestMessagesAreWholeWithoutBlocks(t *testing.T) {
	slack := listen(t, slackserver.Options{})
	client := newClient(configOf(t, slack), quick.request)
	if _, _, err := client.post(t.Context(), "ops", "", message{text: "plain"}); err != nil {
		t.Fatal(err)
	}
	if text := slack.Messages()[0].Text; text != "plain" {
		t.Errorf("the fallback is %q", text)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		" a\n\t b ": "a b", "a\x1b[31mb": "a [31mb", "\u202eab": "ab", "abcdefghijkl": "abcdefghij…", "": "",
	} {
		if got := clean(in, 10); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := code("a`<b>", 10), "`aˋ&lt;b&gt;`"; got != want {
		t.Errorf("code = %q, want %q", got, want)
	}
	if b, err := json.Marshal(prose("\xff<", 10)); err != nil || string(b) != `"\u0026lt;"` {
		t.Errorf("prose = %s, %v", b, err)
	}
}

// FuzzMessage: whatever text a cluster or Git holds, and wherever, Slack makes
// nothing of it but text, and a message stays within what Slack takes.
func FuzzMessage(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	n := &notifier{cfg: Config{Playbooks: playbooks.DefaultBase}}
	seed.Each(f, func(file seed.File) { f.Add(string(file.Data)) }, "slack")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range hostileStates(text) {
			for _, m := range []message{n.first(s), n.reply(s), n.digestOf(briefs(s))} {
				for _, part := range append([]string{m.text, m.context}, m.details...) {
					checkText(t, part)
				}
			}
		}
	})
}

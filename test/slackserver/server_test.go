// SPDX-License-Identifier: Apache-2.0

package slackserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// ask makes one call, and returns what Slack says: ok, its error, or the
// status of HTTP.
func ask(t *testing.T, s *slackserver.Server, method string, form url.Values) (answer, ts string) {
	t.Helper()
	r, err := http.PostForm(s.URL()+method, form)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return r.Status[:3] + " " + r.Header.Get("Retry-After"), ""
	}
	var body struct {
		OK        bool
		Error, TS string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return "no JSON", ""
	}
	if body.OK {
		return "ok", body.TS
	}
	return body.Error, ""
}

func form(pairs ...string) url.Values {
	f := url.Values{"token": {slackserver.Token}, "channel": {"ops"}, "text": {"hello"}}
	for n := 0; n < len(pairs); n += 2 {
		f.Set(pairs[n], pairs[n+1])
	}
	return f
}

func TestWhatSlackRefuses(t *testing.T) {
	s, err := slackserver.Listen(slackserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_, ts := ask(t, s, "chat.postMessage", form())
	_, reply := ask(t, s, "chat.postMessage", form("thread_ts", ts))
	for name, c := range map[string]struct {
		method string
		form   url.Values
		want   string
	}{
		"no token":          {"chat.postMessage", form("token", ""), "not_authed"},
		"wrong token":       {"chat.postMessage", form("token", "x"), "invalid_auth"},
		"no such channel":   {"chat.postMessage", form("channel", "nowhere"), "channel_not_found"},
		"no such method":    {"chat.shout", form(), "unknown_method"},
		"no such thread":    {"chat.postMessage", form("thread_ts", "1.1"), "thread_not_found"},
		"reply to a reply":  {"chat.postMessage", form("thread_ts", reply), "cannot_reply_to_message"},
		"update by name":    {"chat.update", form("ts", ts), "channel_not_found"},
		"update of nothing": {"chat.update", form("channel", "C000000001", "ts", "1.1"), "message_not_found"},
		"no text":           {"chat.postMessage", form("text", ""), "no_text"},
		"a long section":    {"chat.postMessage", form("blocks", `[{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("x", 3001)+`"}}]`), "invalid_blocks"},
		"no blocks":         {"chat.postMessage", form("blocks", `{`), "invalid_blocks_format"},
		"an update":         {"chat.update", form("channel", "C000000001", "ts", ts, "text", "bye"), "ok"},
		"a message":         {"chat.postMessage", form("channel", "#ops"), "ok"},
		"a test":            {"auth.test", form(), "ok"},
	} {
		if got, _ := ask(t, s, c.method, c.form); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if thread := s.Threads()[0]; len(thread) != 2 || thread[0].Text != "bye" || thread[0].Before[0] != "hello" || thread[1].TS != reply {
		t.Errorf("%+v", thread)
	}
}

func TestRate(t *testing.T) {
	s, err := slackserver.Listen(slackserver.Options{Rate: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Next(slackserver.TooMany(7*time.Second), slackserver.HTML(), slackserver.Status(500))
	for _, want := range []string{"429 7", "no JSON", "500 ", "ok", "429 1"} {
		if got, _ := ask(t, s, "chat.postMessage", form()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestPlain(t *testing.T) {
	const in = ":red_circle: *web* ~*a*~ <https://x.example/p|what to do> &lt;!channel&gt; `5*3`"
	if got, want := slackserver.Plain(in), "🔴 web ~a~ what to do (https://x.example/p) <!channel> `5*3`"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

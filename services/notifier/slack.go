// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/plumbline-dev/plumbline/events"
)

// client speaks to Slack's Web API as the app whose token is in a file. The
// token is read for each call, and is in no error.
type client struct {
	url, file string
	http      *http.Client

	mu   sync.Mutex
	used string // the token of the last call
}

func newClient(cfg Config, request time.Duration) *client {
	return &client{url: cfg.URL, file: cfg.TokenFile, http: &http.Client{
		Timeout: request,
		// The token goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// token reads the token.
func (c *client) token() (string, error) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || bytes.ContainsAny(text, " \t\r\n") {
		return "", fmt.Errorf("%s holds no token: give the bot token of a Slack app, on one line", c.file)
	}
	return string(text), nil
}

// changed reports whether the token is another one than that of the last call.
func (c *client) changed() bool {
	token, err := c.token()
	c.mu.Lock()
	defer c.mu.Unlock()
	return err == nil && c.used != "" && token != c.used
}

func (c *client) api() (*slack.Client, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = token
	return slack.New(token, slack.OptionAPIURL(c.url), slack.OptionHTTPClient(c.http)), nil
}

// post posts a message, as a reply where thread is not empty. It returns the
// channel's id and the message's ts.
func (c *client) post(ctx context.Context, channel, thread string, m message) (id, ts string, err error) {
	options := m.options()
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	return c.do(ctx, channel, options)
}

// update replaces a message.
func (c *client) update(ctx context.Context, channel, ts string, m message) error {
	_, _, err := c.do(ctx, channel, append(m.options(), slack.MsgOptionUpdate(ts)))
	return err
}

func (c *client) do(ctx context.Context, channel string, options []slack.MsgOption) (id, ts string, err error) {
	api, err := c.api()
	if err != nil {
		return "", "", err
	}
	id, ts, _, err = api.SendMessageContext(ctx, channel, options...)
	if err == nil && ts == "" {
		err = errors.New("the answer is none of Slack's")
	}
	return id, ts, classify(err)
}

// well asks Slack whether it is there and takes the token, which needs no scope
// (docs.slack.dev/reference/methods/auth.test): nil, or a *tooMany or a *refusal
// as of any call, or what Slack is out by.
func (c *client) well(ctx context.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	_, err = api.AuthTestContext(ctx)
	return classify(err)
}

// tooMany is an answer of Slack's that asks to wait.
type tooMany struct{ after time.Duration }

func (t *tooMany) Error() string { return fmt.Sprintf("Slack asks to wait for %s", t.after) }

func limited(err error) bool {
	var t *tooMany
	return errors.As(err, &t)
}

// errGone says that a message is no longer there.
var errGone = errors.New("somebody has deleted the message")

// refusal is an answer of Slack's that won't change by itself.
type refusal struct {
	code    string // Slack's
	reason  events.Reason
	message string // for people: what to do
	all     bool   // every message would be refused
}

func (r *refusal) Error() string {
	if r.code == "" {
		return r.message
	}
	return r.message + " (Slack says " + r.code + ")"
}

// unasked is how long to wait where Slack says that it is too much and not for
// how long.
const unasked = 30 * time.Second

// classify makes of an error of slack-go what it means: *tooMany, errGone,
// *refusal, or else that no answer came that is Slack's. The codes are those of chat.postMessage and
// chat.update, docs.slack.dev/reference/methods/chat.postMessage.
func classify(err error) error {
	var rate *slack.RateLimitedError
	if errors.As(err, &rate) {
		return &tooMany{rate.RetryAfter}
	}
	var status slack.StatusCodeError
	if errors.As(err, &status) && status.Code == http.StatusTooManyRequests {
		return &tooMany{unasked}
	}
	var said slack.SlackErrorResponse
	if !errors.As(err, &said) {
		return err
	}
	is := func(codes ...string) bool { return slices.Contains(codes, said.Err) }
	switch {
	case is("ratelimited", "rate_limited", "message_limit_exceeded"):
		return &tooMany{unasked}
	case is("internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "team_access_not_granted"):
		return err
	case is("message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed", "cannot_reply_to_message"):
		return errGone
	case is("channel_not_found", "not_in_channel", "is_archived", "channel_is_archived"):
		return &refusal{said.Err, events.ReasonChannelMissing, "Slack knows no such channel, or the app is not in it: invite the app to the channel, or give another one with --slack-channel.", true}
	case is("not_authed", "invalid_auth", "token_revoked", "token_expired", "account_inactive", "user_is_inactive", "two_factor_setup_required"):
		return &refusal{said.Err, events.ReasonTokenRefused, "Slack refuses the token: put a valid bot token into the file of --slack-token-file; it is read again.", true}
	case is("missing_scope", "no_permission", "not_allowed_token_type", "access_denied", "restricted_action", "ekm_access_denied", "org_login_required", "posting_to_channel_denied"):
		return &refusal{said.Err, events.ReasonAlertRefused, "Slack doesn't let the app post there: give the app the scope chat:write, and leave to post in the channel.", true}
	}
	return &refusal{said.Err, events.ReasonAlertRefused, "Slack refuses this message: 'plumbline alerts' says what it is about.", false}
}

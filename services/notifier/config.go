// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// DefaultURL is where Slack's Web API begins.
const DefaultURL = "https://slack.com/api/"

// Config is the notifier's configuration.
type Config struct {
	Bus bus.Config
	// Channel is where alerts go, by id or by name; the app of the token is a
	// member of it.
	Channel string
	// TokenFile holds the app's bot token (scope chat:write). It is read again
	// at each message, so that a changed one is taken up.
	TokenFile string
	URL       string // where Slack's Web API begins
	Playbooks string // where the playbooks lie; each page is <page>.md below it
}

// Flags registers the flags of the notifier.
func (c *Config) Flags(fs *pflag.FlagSet) {
	c.Bus.Flags(fs)
	fs.StringVar(&c.Channel, "slack-channel", "", "channel that alerts go to, by id or by name")
	fs.StringVar(&c.TokenFile, "slack-token-file", "", "file with the bot token of a Slack app (scope chat:write) that is in the channel; read again when it changes")
	fs.StringVar(&c.URL, "slack-url", DefaultURL, "where Slack's Web API begins")
	fs.StringVar(&c.Playbooks, "playbooks", playbooks.DefaultBase, "where the playbooks are that alerts link to")
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Channel == "":
		return c, process.Usagef("--slack-channel is missing: give the channel that alerts go to, as ops")
	case c.TokenFile == "":
		return c, process.Usagef("--slack-token-file is missing: give a file with the bot token of a Slack app")
	}
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return c, process.Usagef("--slack-url %q is no address: give one as %s", c.URL, DefaultURL)
	}
	if !strings.HasSuffix(c.URL, "/") {
		c.URL += "/"
	}
	c.Bus.Service, c.Bus.User = "notifier", "notifier"
	return c, process.Usage(c.Bus.Check())
}

// Command registers the notifier's flags and returns what runs it.
func Command(fs *pflag.FlagSet) process.RunFunc {
	var cfg Config
	cfg.Flags(fs)
	return func(ctx context.Context, env process.Env) error { return Run(ctx, env, cfg) }
}

// timing is what tests have less time for than people.
type timing struct {
	pace    time.Duration // between two messages: Slack takes one per second and channel
	settle  time.Duration // what changes within it is told once
	window  time.Duration // in which more than few make a digest
	few     int
	resync  time.Duration // between two looks at the whole level
	token   time.Duration // between two looks at the token's file
	request time.Duration // for an answer of Slack's
	again   time.Duration // until what alone got no answer is sent again; then twice as long
}

var defaultTiming = timing{
	pace: 1100 * time.Millisecond, settle: 500 * time.Millisecond, window: time.Minute, few: 3,
	resync: 10 * time.Minute, token: 15 * time.Second, request: 10 * time.Second, again: 5 * time.Second,
}

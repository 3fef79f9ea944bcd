// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Config is what a watcher is told.
type Config struct {
	Bus bus.Config

	Fleet         string        // URL, or a directory that is a Git repository
	FleetPath     string        // folder of the declarations; "." is the root
	FleetBranch   string        // empty: main
	FleetInterval time.Duration // between two looks at the fleet

	GitCredentials string // folder; empty: none
	Mirrors        string // folder
	SourceKey      string // file
	LocalRecipient string // file with the age recipient of cluster local, or the recipient

	WebhookListen  string // address; empty: no webhooks
	WebhookSecrets string // folder

	Limits Limits // zero: DefaultLimits
	// GitTimeout is how long a repository may take to list its refs; zero: a
	// minute. All of one look, a fetch included, may take ten times that.
	GitTimeout time.Duration

	// WebhookReady, where set, is called with the address that webhooks are
	// served on.
	WebhookReady func(address string)
}

// Flags registers the watcher's flags, and those of its connection.
func (c *Config) Flags(flags *pflag.FlagSet) {
	c.Bus.Flags(flags)
	flags.StringVar(&c.Fleet, "fleet", "", "the fleet repository: a URL, or a directory that is a Git repository")
	flags.StringVar(&c.FleetPath, "fleet-path", ".", "the folder of the declarations in the fleet repository")
	flags.StringVar(&c.FleetBranch, "fleet-branch", "main", "the branch of the fleet repository")
	flags.DurationVar(&c.FleetInterval, "fleet-interval", 30*time.Second, "time between two looks at the fleet repository")
	flags.StringVar(&c.GitCredentials, "git-credentials", "", "folder with <repository>/{username,password,identity,known_hosts,ca.crt}; the fleet's is named fleet")
	flags.DurationVar(&c.GitTimeout, "git-timeout", defaultGitTimeout, "time that a repository may take to list its refs; a fetch may take ten times that")
	flags.StringVar(&c.Mirrors, "mirrors", "", "folder for the mirrors of repositories; it may be lost")
	flags.StringVar(&c.SourceKey, "source-key", "", "file with the key that sources are encrypted with")
	flags.StringVar(&c.LocalRecipient, "local-recipient", "", "age recipient of the cluster local, or a file with it")
	flags.StringVar(&c.WebhookListen, "webhook-listen", "", "address to serve POST /webhook/<repository> on; empty: none")
	flags.StringVar(&c.WebhookSecrets, "webhook-secrets", "", "folder with the secret of each repository's webhook in a file of its name")
}

// settings is a checked [Config].
type settings struct {
	Config
	fleet     endpoint
	recipient string
	key       *seal.SourceKey
}

func (c Config) check() (settings, error) {
	s := settings{Config: c}
	var err error
	if s.fleet, err = fleetEndpoint(c.Fleet); err != nil {
		return s, process.Usage(err)
	}
	if err := c.Bus.Check(); err != nil {
		return s, process.Usage(err)
	}
	if s.FleetBranch == "" {
		s.FleetBranch = "main"
	}
	if s.FleetInterval < time.Second {
		return s, process.Usagef("--fleet-interval %s: want a second or more", s.FleetInterval)
	}
	s.FleetPath = path.Clean(strings.TrimPrefix(filepath.ToSlash(s.FleetPath), "./"))
	if path.IsAbs(s.FleetPath) || s.FleetPath == ".." || strings.HasPrefix(s.FleetPath, "../") {
		return s, process.Usagef("--fleet-path %s: want a folder inside the repository, such as fleet/production", c.FleetPath)
	}
	if s.Mirrors == "" {
		return s, process.Usagef("--mirrors is missing: name a folder for the mirrors of repositories")
	}
	if s.WebhookListen != "" && s.WebhookSecrets == "" {
		return s, process.Usagef("--webhook-listen needs --webhook-secrets: a webhook without a secret is refused")
	}
	if s.GitTimeout == 0 {
		s.GitTimeout = defaultGitTimeout
	}
	if s.GitTimeout < time.Second {
		return s, process.Usagef("--git-timeout %s: want a second or more", s.GitTimeout)
	}
	if s.Limits == (Limits{}) {
		s.Limits = DefaultLimits()
	}
	if s.SourceKey == "" {
		return s, process.Usagef("--source-key is missing: give the file with the key that sources are encrypted with, the renderer's too; 'plumbline keys init' makes it")
	}
	if s.key, err = seal.LoadSourceKey(c.SourceKey); err != nil {
		return s, fmt.Errorf("--source-key: %w; 'plumbline keys init' makes a key", err)
	}
	s.recipient, err = recipient(c.LocalRecipient)
	return s, err
}

// fleetEndpoint reads --fleet: a URL, or a directory that stands for the Git
// repository that it is.
func fleetEndpoint(fleet string) (endpoint, error) {
	if fleet == "" {
		return endpoint{}, errors.New("--fleet is missing: give the URL of the fleet repository, or a directory that is one")
	}
	info, statErr := os.Stat(fleet)
	if statErr == nil && info.IsDir() {
		return fleetDirectory(fleet)
	}
	e, err := parseEndpoint(fleet)
	const want = "give a directory that is a Git repository, or a URL: https://…, http://…, ssh://…, user@host:path or file:///…"
	switch {
	case err == nil:
		return e, nil
	case strings.Contains(fleet, "://"), strings.Contains(fleet, "@"):
		return endpoint{}, fmt.Errorf("--fleet %s: %w", redact(fleet), err)
	case statErr == nil:
		return endpoint{}, fmt.Errorf("--fleet %s is a file; %s", fleet, want)
	case errors.Is(statErr, fs.ErrNotExist):
		return endpoint{}, fmt.Errorf("--fleet %s: there is no such directory%s; %s", fleet, from(), want)
	}
	return endpoint{}, fmt.Errorf("--fleet: %w; %s", statErr, want)
}

// from says what a relative path is relative to.
func from() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return ", seen from " + dir
}

// fleetDirectory refuses a directory that is no Git repository: what isn't
// committed has no author and no history.
func fleetDirectory(fleet string) (endpoint, error) {
	dir, err := filepath.Abs(fleet)
	if err != nil {
		return endpoint{}, fmt.Errorf("--fleet %s: %w", fleet, err)
	}
	if !isRepository(dir) {
		return endpoint{}, fmt.Errorf("--fleet %s is a directory but no Git repository; make it one: git -C %s init --initial-branch=main && git -C %s add . && git -C %s commit -m Fleet",
			fleet, fleet, fleet, fleet)
	}
	return endpoint{scheme: "file", path: dir}, nil
}

func isRepository(dir string) bool {
	for _, sign := range []string{".git", "objects"} {
		if _, err := os.Stat(filepath.Join(dir, sign)); err == nil {
			return true
		}
	}
	return false
}

// redact takes the credentials out of a URL that was refused for them.
func redact(text string) string {
	if at := strings.LastIndex(text, "@"); at >= 0 && !strings.Contains(text, "://") {
		return text[at+1:]
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if _, host, has := strings.Cut(rest, "@"); ok && has {
		return scheme + "://" + host
	}
	return text
}

// recipient is the age recipient of cluster local; empty: none is known.
func recipient(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if !strings.HasPrefix(text, "age1") {
		data, err := os.ReadFile(text)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("--local-recipient %s: no such file, and it doesn't start with age1", text)
		}
		if err != nil {
			return "", fmt.Errorf("--local-recipient: %w", err)
		}
		text = string(data)
	}
	parsed, err := seal.ParseRecipient(text)
	if err != nil {
		return "", fmt.Errorf("--local-recipient: %w", err)
	}
	return parsed.String(), nil
}

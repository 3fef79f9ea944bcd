// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/plumbline-dev/plumbline/internal/seal"
)

// place is the folder that a running system keeps its state in:
//
//	plumbline.json   where it can be reached; there while it runs
//	nats/            the embedded bus: its store, and nats/keys/<user>.nk
//	keys/            source.key, <cluster>.age, <cluster>.recipient, <cluster>.digest.key
//	mirrors/         the watcher's mirrors; rebuilt when lost
//	auditor/         the auditor's own, read-only identity
type place string

func (p place) nats() string              { return filepath.Join(string(p), "nats") }
func (p place) natsKey(u string) string   { return filepath.Join(p.nats(), "keys", u+".nk") }
func (p place) mirrors() string           { return filepath.Join(string(p), "mirrors") }
func (p place) sourceKey() string         { return filepath.Join(string(p), "keys", "source.key") }
func (p place) identity(c string) string  { return filepath.Join(string(p), "keys", c+".age") }
func (p place) recipient(c string) string { return filepath.Join(string(p), "keys", c+".recipient") }

func (p place) digestKey(c string) string { return filepath.Join(string(p), "keys", c+".digest.key") }

func (p place) auditor() string { return filepath.Join(string(p), "auditor", "auditor.kubeconfig") }
func (p place) running() string { return filepath.Join(string(p), "plumbline.json") }

// defaultPlace is where up keeps its state if it is not told otherwise.
func defaultPlace() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "plumbline")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "plumbline-data"
	}
	return filepath.Join(home, ".local", "state", "plumbline")
}

// running is what plumbline.json says of the system that runs in its folder.
type running struct {
	Server   string   `json:"server"` // the bus
	Keys     string   `json:"keys"`   // folder of <user>.nk
	Clusters []string `json:"clusters"`
	// Kubeconfig is what the applier of an 'up' writes with; empty: no applier
	// runs here.
	Kubeconfig string    `json:"kubeconfig,omitempty"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
}

// announce writes plumbline.json; withdraw removes it.
func (p place) announce(r running) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	scratch := p.running() + ".new"
	if err := os.WriteFile(scratch, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(scratch, p.running())
}

func (p place) withdraw() error { return os.Remove(p.running()) }

// find reads plumbline.json.
func (p place) find() (running, error) {
	text, err := os.ReadFile(p.running())
	if errors.Is(err, fs.ErrNotExist) {
		return running{}, fmt.Errorf("nothing runs in %s: start it with 'plumbline up --data %s ...', or say where the bus is with --server and --creds", p, p)
	}
	if err != nil {
		return running{}, fmt.Errorf("whether something runs in %s can't be told: %w; be the user that it runs as, or say where the bus is with --server and --creds", p, err)
	}
	var r running
	if err := json.Unmarshal(text, &r); err != nil {
		return running{}, fmt.Errorf("%s can't be read: %w; stop what runs there and start it again", p.running(), err)
	}
	return r, nil
}

// ensureKeys makes the keys that are missing, each once and for ever: what is
// sealed to them can't be read without them.
func (p place) ensureKeys(clusters []string) error {
	if err := os.MkdirAll(filepath.Dir(p.sourceKey()), 0o700); err != nil {
		return err
	}
	source, err := seal.EnsureSourceKey(p.sourceKey())
	if err != nil {
		return fmt.Errorf("source key: %w", err)
	}
	for _, cluster := range clusters {
		_, recipient, err := seal.EnsureIdentity(p.identity(cluster))
		if err != nil {
			return fmt.Errorf("age key of cluster %s: %w", cluster, err)
		}
		if err := os.WriteFile(p.recipient(cluster), []byte(recipient.String()+"\n"), 0o600); err != nil {
			return err
		}
		if err := seal.WriteDigestKey(p.digestKey(cluster), source.DigestKey(cluster)); err != nil {
			return fmt.Errorf("digest key of cluster %s: %w", cluster, err)
		}
	}
	return nil
}

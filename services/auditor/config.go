// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// Config is the auditor's configuration.
type Config struct {
	Bus        bus.Config
	Cluster    string // the cluster to audit, as the fleet names it
	Kubeconfig string // of a read-only identity, see [ReadOnlyRole]; empty: the service account of the pod
	// DigestKey is the file with the cluster's digest key; empty: the values
	// of Secrets are not compared.
	DigestKey string
	// Resync is how often the log is read again although no event came. It
	// costs the API server nothing.
	Resync time.Duration
	// FullCompare is how often all bodies are compared although no metadata
	// tells of a change.
	FullCompare time.Duration
}

// Flags registers the flags of the auditor.
func (c *Config) Flags(fs *pflag.FlagSet) {
	c.Bus.Flags(fs)
	fs.StringVar(&c.Cluster, "cluster", "local", "the cluster to audit, as the fleet names it")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig of an identity that may get, list and watch what is applied, and nothing else; default: the service account of the pod")
	fs.StringVar(&c.DigestKey, "digest-key", "", "file with the cluster's digest key, to compare the values of Secrets; without it only their names are compared")
	fs.DurationVar(&c.Resync, "resync", 10*time.Minute, "how often to read the log again although no event came")
	fs.DurationVar(&c.FullCompare, "full-compare", 6*time.Hour, "how often to compare every object in full although nothing tells of a change")
}

func (c Config) withDefaults() (Config, error) {
	if c.Cluster == "" {
		return c, process.Usagef("--cluster is empty: give the name in the fleet of the cluster to audit")
	}
	if c.Kubeconfig == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == "" { // which every pod has
		return c, process.Usagef("--kubeconfig is missing: give the file of a read-only identity")
	}
	if c.Resync <= 0 {
		c.Resync = 10 * time.Minute
	}
	if c.FullCompare <= 0 {
		c.FullCompare = 6 * time.Hour
	}
	c.Bus.Service, c.Bus.Cluster = "auditor", c.Cluster
	return c, process.Usage(c.Bus.Check())
}

// Command registers the auditor's flags and returns what runs it.
func Command(fs *pflag.FlagSet) process.RunFunc {
	var cfg Config
	cfg.Flags(fs)
	return func(ctx context.Context, env process.Env) error { return Run(ctx, env, cfg) }
}

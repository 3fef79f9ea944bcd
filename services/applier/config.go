// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// Config is what an applier is told.
type Config struct {
	Bus        bus.Config
	Cluster    string        // the name that the fleet gives the cluster
	Kubeconfig string        // file; empty: the service account of the pod
	Identity   string        // file with the age identity that opens sealed Secrets; empty: none can be opened
	Namespaces []string      // that it is held to; empty: the whole cluster
	Resync     time.Duration // how often the level is read again

	grace    time.Duration
	timeout  time.Duration // of one attempt to write one object
	patience time.Duration // see awaitPatience
	believed time.Duration // see fenceLife
}

// lostHealthAfter is how long a converged application may be on its way to
// something before that counts as lost health.
const lostHealthAfter = 15 * time.Second

// Flags registers the applier's flags.
func (c *Config) Flags(fs *pflag.FlagSet) {
	c.Bus.Flags(fs)
	fs.StringVar(&c.Cluster, "cluster", "local", "the cluster, as the fleet names it")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "how to reach the cluster; default: the service account of the pod")
	fs.StringVar(&c.Identity, "age-identity", "", "file with the age identity that opens the cluster's sealed Secrets")
	fs.StringSliceVar(&c.Namespaces, "namespaces", nil, "the namespaces to apply to, where the applier may write and watch in those alone; default: the whole cluster")
	fs.DurationVar(&c.Resync, "resync", 10*time.Minute, "how often everything is looked at again, events or not")
}

func (c Config) withDefaults() (Config, error) {
	if c.grace == 0 {
		c.grace = lostHealthAfter
	}
	if c.timeout == 0 {
		c.timeout = requestTimeout
	}
	if c.patience == 0 {
		c.patience = awaitPatience
	}
	if c.believed == 0 {
		c.believed = fenceLife
	}
	c.Bus.Service, c.Bus.Cluster = "applier", c.Cluster
	switch {
	case c.Cluster == "":
		return c, process.Usagef("--cluster is empty: give the cluster's name in the fleet")
	case slices.Contains(c.Namespaces, ""):
		return c, process.Usagef("--namespaces %s: an empty name is none; leave the flag out for the whole cluster", strings.Join(c.Namespaces, ","))
	case slices.Contains(c.Namespaces, systemNamespace):
		return c, process.Usagef("--namespaces %s: %s is Plumbline's own", strings.Join(c.Namespaces, ","), systemNamespace)
	case c.Resync < time.Second:
		return c, process.Usagef("--resync %s: want a second or more", c.Resync)
	}
	return c, process.Usage(c.Bus.Check())
}

// Command registers the applier's flags and returns what runs it.
func Command(fs *pflag.FlagSet) process.RunFunc {
	var cfg Config
	cfg.Flags(fs)
	return func(ctx context.Context, env process.Env) error { return Run(ctx, env, cfg) }
}

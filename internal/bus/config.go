// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"

	"github.com/spf13/pflag"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// Config says where the bus is and as whom to speak there.
type Config struct {
	URL   string // nats://127.0.0.1:4222; several are separated by commas
	Creds string // file with the seed of the user's nkey; read again at each reconnect

	// Service is the service that speaks, Cluster the one that it serves;
	// empty: all of them. Both go into the source of what it publishes.
	Service, Cluster string
	// User is the name of the user; default: [natsconfig.UserName] of service
	// and cluster.
	User string

	title string // before the user's name, in the name of the connection

	// Version is that of the program; it goes into what it publishes.
	Version string
	// Waiting, where set, is told what keeps the bus away, for people, at each
	// try that fails, and nil once it is there. It must not block.
	Waiting func(error) `json:"-"`

	// Telemetry takes spans and metrics; the zero value forgets them.
	Telemetry telemetry.Providers `json:"-"`
}

// Flags registers --nats-url and --nats-creds.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.URL, "nats-url", "nats://127.0.0.1:4222", "where the bus is")
	fs.StringVar(&c.Creds, "nats-creds", "", "file with the seed of this service's nkey")
}

// Check says what is missing of the settings that [Config.Flags] registers.
func (c *Config) Check() error {
	switch {
	case c.URL == "":
		return errors.New("--nats-url is missing: give the address of the bus, as nats://127.0.0.1:4222")
	case c.Creds == "":
		return errors.New("--nats-creds is missing: give the file with the seed of this service's nkey, as 'plumbline nats serve' writes it to DATA/nats/keys")
	}
	return nil
}

func (c Config) withDefaults() (Config, error) {
	if c.User == "" {
		c.User = natsconfig.UserName(c.Service, c.Cluster)
	}
	if c.Service == "" {
		c.Service = c.User
	}
	if c.User == "" {
		return c, errors.New("no user for the bus")
	}
	if c.title == "" {
		c.title = "plumbline "
	}
	return c, c.Check()
}

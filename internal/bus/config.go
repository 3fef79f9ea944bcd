// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"

	"github.com/spf13/pflag"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
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
}

// Flags registers --nats-url and --nats-creds.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.URL, "nats-url", "nats://127.0.0.1:4222", "where the bus is")
	fs.StringVar(&c.Creds, "nats-creds", "", "file with the seed of this service's nkey")
}

func (c Config) withDefaults() (Config, error) {
	if c.User == "" {
		c.User = natsconfig.UserName(c.Service, c.Cluster)
	}
	if c.Service == "" {
		c.Service = c.User
	}
	switch {
	case c.URL == "":
		return c, errors.New("no address of the bus: set --nats-url")
	case c.Creds == "":
		return c, errors.New("no key for the bus: set --nats-creds to the file with the nkey seed")
	case c.User == "":
		return c, errors.New("no user for the bus")
	}
	return c, nil
}

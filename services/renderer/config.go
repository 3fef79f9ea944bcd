// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Config is what a renderer is told.
type Config struct {
	Bus bus.Config

	SourceKey string        // file
	Workers   int           // render children; more than two gain little
	Timeout   time.Duration // of one render
	Memory    Size          // that a child may hold
	Output    Size          // that an application may render to; 0: 32 MiB
}

// Size is a number of bytes, written as 512MiB.
type Size int64

const mib Size = 1 << 20

var units = []struct {
	suffix string
	size   Size
}{{"GiB", 1 << 30}, {"MiB", mib}, {"KiB", 1 << 10}}

// String implements [pflag.Value].
func (s *Size) String() string {
	for _, u := range units {
		if *s >= u.size && *s%u.size == 0 {
			return strconv.FormatInt(int64(*s/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set implements [pflag.Value].
func (s *Size) Set(text string) error {
	unit := Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<50/int64(unit) {
		return errors.New("want a size such as 512MiB")
	}
	*s = Size(n) * unit
	return nil
}

// Type implements [pflag.Value].
func (s *Size) Type() string { return "size" }

// Flags registers the renderer's flags, and those of its connection.
func (c *Config) Flags(flags *pflag.FlagSet) {
	c.Bus.Flags(flags)
	c.Memory = 512 * mib
	flags.StringVar(&c.SourceKey, "source-key", "", "file with the key that sources are encrypted with")
	flags.IntVar(&c.Workers, "workers", 2, "render children")
	flags.DurationVar(&c.Timeout, "timeout", time.Minute, "time that one render may take")
	flags.Var(&c.Memory, "memory", "memory that one render may take")
}

// settings is a checked [Config].
type settings struct {
	Config
	limits limits
	key    *seal.SourceKey
}

func (c Config) check() (settings, error) {
	s := settings{Config: c}
	if err := c.Bus.Check(); err != nil {
		return s, process.Usage(err)
	}
	if s.SourceKey == "" {
		return s, process.Usagef("--source-key is missing: give the file with the key that sources are encrypted with, the watcher's too; 'plumbline keys init' makes it")
	}
	if s.Workers < 1 || s.Workers > 16 {
		return s, process.Usagef("--workers %d: want 1 to 16", s.Workers)
	}
	if s.Timeout <= 0 {
		return s, process.Usagef("--timeout %s: want more than 0s", s.Timeout)
	}
	if s.Memory < 64*mib {
		return s, process.Usagef("--memory %s: want 64MiB or more", &s.Memory)
	}
	if s.Output == 0 {
		s.Output = 32 * mib
	}
	s.limits = limits{timeout: s.Timeout, memory: int64(s.Memory), output: int64(s.Output)}
	var err error
	if s.key, err = seal.LoadSourceKey(c.SourceKey); err != nil {
		return s, fmt.Errorf("--source-key: %w; 'plumbline keys init' makes a key", err)
	}
	return s, nil
}

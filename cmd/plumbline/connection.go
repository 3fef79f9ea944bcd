// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/bus"
)

const (
	// patience is how long a command waits for the bus before it gives up.
	patience = 5 * time.Second
	// reading is how long it may read: a log of very many applications is long.
	reading = time.Minute
)

// target says which running system a command is about.
type target struct {
	data, server, creds string
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.data, "data", defaultPlace(), "folder of the 'up' or 'nats serve' to speak to")
	cmd.Flags().StringVar(&t.server, "server", "", "address of the bus instead, as nats://127.0.0.1:4222; needs --creds")
	cmd.Flags().StringVar(&t.creds, "creds", "", "file with the nkey seed to speak with: operator.nk, or reader.nk to read only")
	grouped(cmd, flagsSystem, "data", "server", "creds")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	if takesApplication(cmd) {
		completeApplications(cmd, t)
	}
}

// config finds the bus and the key to it.
func (t *target) config() (bus.Config, error) {
	if (t.server == "") != (t.creds == "") {
		return bus.Config{}, usagef("--server and --creds go together")
	}
	c := bus.Config{URL: t.server, Creds: t.creds, User: userOf(t.creds), Service: "operator"}
	if t.server != "" {
		return c, nil
	}
	r, err := place(t.data).find()
	if err != nil {
		return bus.Config{}, err
	}
	c.URL, c.Creds, c.User = r.Server, filepath.Join(r.Keys, "operator.nk"), "operator"
	return c, nil
}

// userOf is the user whose seed a file is named for: its inbox is its own.
func userOf(creds string) string {
	name := strings.TrimSuffix(filepath.Base(creds), ".nk")
	if slices.Contains([]string{"operator", "reader", "notifier"}, name) {
		return name
	}
	return "operator"
}

// connect connects, and gives up where the bus doesn't answer.
func (t *target) connect(ctx context.Context, stderr io.Writer) (*bus.Conn, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.Waiting = func(err error) {
		if errors.Is(err, bus.ErrRefused) { // nothing will have changed a moment later
			cancel(err)
		}
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	conn, err := bus.Connect(ctx, c, log)
	if err == nil {
		return conn, nil
	}
	if refused := context.Cause(ctx); errors.Is(refused, bus.ErrRefused) {
		return nil, fmt.Errorf("the bus at %s doesn't take the key in %s: give --creds the seed of operator or reader, in a file of that user's name (%w)", c.URL, c.Creds, refused)
	}
	if !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, err
	}
	if t.server != "" {
		return nil, fmt.Errorf("no bus answers at %s within %s: is the address right, and does it run? (%w)", c.URL, patience, err)
	}
	return nil, fmt.Errorf("no bus answers at %s within %s: has what ran in %s ended? Start it again with 'plumbline up --data %s ...' (%w)", c.URL, patience, t.data, t.data, err)
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeliverAgain makes every service's consumer anew, to deliver the whole log
// from its first event. No user of Plumbline's may do that: the NATS process
// ends, and a server of the rig's own takes its place, with the same files,
// store and port and one more user.
func (r *Rig) DeliverAgain(ctx context.Context) error {
	if err := r.processes["nats"].Stop(); err != nil {
		return err
	}
	if err := r.startReplay(); err != nil {
		return fmt.Errorf("rig: deliver again: %w", err)
	}
	conn, err := nats.Connect(r.URL, nats.UserInfo(admin, admin))
	if err != nil {
		return fmt.Errorf("rig: deliver again: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("rig: deliver again: %w", err)
	}
	for _, service := range Services {
		if err := renew(ctx, js, user(service)); err != nil {
			return fmt.Errorf("rig: deliver again to the %s: %w", service, err)
		}
	}
	return nil
}

const admin = "rig"

func (r *Rig) startReplay() error {
	dir := filepath.Join(r.data(), "nats")
	o, err := server.ProcessConfigFile(filepath.Join(dir, "server.conf"))
	if err != nil {
		return err
	}
	o.Host, o.Port, o.StoreDir, o.NoSigs = "127.0.0.1", r.ports.nats, dir, true
	for _, account := range o.Accounts {
		if account.GetName() == "PLUMBLINE" {
			o.Users = append(o.Users, &server.User{Username: admin, Password: admin, Account: account})
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	r.replay = s
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the server takes no connections")
	}
	return nil
}

// renew replaces a consumer by one that begins at the log's first event.
func renew(ctx context.Context, js jetstream.JetStream, name string) error {
	c, err := js.Consumer(ctx, log, name)
	if err != nil {
		return err
	}
	config := c.CachedInfo().Config
	config.DeliverPolicy = jetstream.DeliverAllPolicy
	if err := js.DeleteConsumer(ctx, log, name); err != nil {
		return err
	}
	_, err = js.CreateConsumer(ctx, log, config)
	return err
}

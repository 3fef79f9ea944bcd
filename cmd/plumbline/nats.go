// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

func natsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "nats",
		GroupID: "run",
		Short:   "Run or provision the bus of a separate deployment",
		Long: `The bus of a deployment in parts, where 'plumbline up' would have its own inside:
either a NATS server in this process (serve), or one of yours, whose streams and
consumers are made and kept as deploy/nats has them (provision).`,
		Example: "  plumbline nats serve --data /var/lib/plumbline\n  plumbline nats provision --server nats://nats.example.com:4222 --creds provisioner.nk",
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(natsServeCommand(), natsProvisionCommand())
	return cmd
}

func natsServeCommand() *cobra.Command {
	e := embedded{}
	var data, health string
	var logging process.Logging
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a NATS server with the streams, consumers and users of Plumbline",
		Long: `Runs a NATS server with JetStream in this process, on loopback, with the very
streams, consumers, users and rights of deploy/nats, and keeps them so. A store
that is lost, with the server stopped or underneath the running one, is made
anew; the services fill it again.

Each service connects with the key of its own user, DATA/nats/keys/<user>.nk:
watcher, renderer, applier-<cluster>, auditor-<cluster>. The server itself needs
that of the provisioner; of the others <user>.pub, the public key, is enough
(--keys): 'plumbline keys manifests' writes them for a cluster.`,
		Example: "  plumbline nats serve --data /var/lib/plumbline --cluster local --cluster eu-west\n  plumbline events --follow --data /var/lib/plumbline",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if e.log, err = logging.Logger(cmd.ErrOrStderr()); err != nil {
				return usage(err)
			}
			if data, err = filepath.Abs(data); err != nil {
				return err
			}
			e.data = place(data)
			if err := os.MkdirAll(data, 0o700); err != nil {
				return err
			}
			unlock, err := e.data.lock()
			if err != nil {
				return err
			}
			defer unlock()
			if health != "" {
				h := &process.Health{}
				h.Check("bus", e.state.Ready)
				listener, err := h.Listen(health)
				if err != nil {
					return err
				}
				defer listener.Close()
			}
			go process.Rest(cmd.Context())
			return e.run(cmd.Context(), func(ctx context.Context, url string) error {
				fmt.Fprintf(cmd.OutOrStdout(), "bus ready url=%s keys=%s\n", url, e.keysDir())
				<-ctx.Done()
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultPlace(), "folder to keep the store and the keys in")
	cmd.Flags().StringVar(&e.host, "host", "127.0.0.1", "address to listen on; 0.0.0.0 is every one. What travels is not encrypted by itself")
	e.port = defaultPort
	cmd.Flags().Var(&e.port, "port", "port to listen on; -1 takes a free one")
	cmd.Flags().StringVar(&e.keys, "keys", "", "folder with the users' keys (default DATA/nats/keys, where those that are missing are made)")
	cmd.Flags().StringSliceVar(&e.clusters, "cluster", []string{local}, "cluster to have users and consumers for; may be given several times")
	cmd.Flags().StringVar(&health, "health-listen", "", "address to answer GET /healthz and /readyz on (default: none)")
	logging.Flags(cmd.Flags())
	return cmd
}

func natsProvisionCommand() *cobra.Command {
	var server, creds, seen string
	var clusters []string
	var out format
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make the streams and consumers of a NATS server what Plumbline needs",
		Long: `Creates the streams and consumers of deploy/nats that are missing and changes those
that differ; run again, it changes nothing. The server's users are its own
configuration: see deploy/nats.

Give --seen a file that lies outside the server's store: run again after the log was
put back from a backup, it notices by that file and turns the log's epoch, so that no
place in the log stands for two revisions. Without it nobody notices; 'nats serve' and
'up' keep such a file themselves and look all the time.`,
		Example: "  plumbline nats provision --server nats://nats.example.com:4222 --creds provisioner.nk --cluster local\n  plumbline nats provision --server nats://nats.example.com:4222 --creds provisioner.nk --cluster eu-west --cluster us-east -o json",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if server == "" || creds == "" {
				return usagef("want --server and --creds, the key of the user provisioner")
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
			ctx, cancel := context.WithTimeout(cmd.Context(), 6*patience)
			defer cancel()
			report, err := provision.Once(ctx, server, creds, seen, clusters, log)
			switch {
			case errors.Is(err, bus.ErrRefused):
				return fmt.Errorf("the bus at %s doesn't take the key in %s: give --creds the seed of the user provisioner (%w)", server, creds, err)
			case errors.Is(err, context.DeadlineExceeded):
				return fmt.Errorf("no bus answers at %s: is the address right, and does it run? (%w)", server, err)
			}
			if err != nil {
				return err
			}
			if out == formatJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Epoch    string   `json:"epoch"`
					Events   uint64   `json:"events"`
					Created  []string `json:"created,omitempty"`
					Changed  []string `json:"changed,omitempty"`
					Renewed  []string `json:"renewed,omitempty"`
					Restored bool     `json:"restored,omitempty"` // from a backup: the epoch has turned
				}{report.Log.Epoch, report.Log.Last, report.Created, report.Changed, report.Renewed, report.Restored})
			}
			for _, name := range report.Created {
				fmt.Fprintln(cmd.OutOrStdout(), "created", name)
			}
			for _, name := range report.Changed {
				fmt.Fprintln(cmd.OutOrStdout(), "changed", name)
			}
			for _, name := range report.Renewed {
				fmt.Fprintln(cmd.OutOrStdout(), "renewed", name)
			}
			if report.Restored {
				fmt.Fprintln(cmd.OutOrStdout(), "the log was put back to an earlier state, or that can't be told any more: it has a new epoch")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "provisioned: epoch %s, %d events\n", report.Log.Epoch, report.Log.Last)
			return err
		},
	}
	cmd.Flags().StringVar(&server, "server", "", "address of the server")
	cmd.Flags().StringVar(&creds, "creds", "", "file with the nkey seed of the user provisioner")
	cmd.Flags().StringSliceVar(&clusters, "cluster", []string{local}, "cluster to have consumers for; may be given several times")
	cmd.Flags().StringVar(&seen, "seen", "", "file to keep the furthest place of the log in: a log that was put back from a backup is noticed by it")
	out.flags(cmd)
	return cmd
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(natsServeCommand(), natsProvisionCommand())
	return cmd
}

func natsServeCommand() *cobra.Command {
	e := embedded{}
	var data string
	var logging process.Logging
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a NATS server with the streams, consumers and users of Plumbline",
		Long: `Runs a NATS server with JetStream in this process, on loopback, with the very
streams, consumers, users and rights of deploy/nats, and keeps them so. A store
that is lost, with the server stopped or underneath the running one, is made
anew; the services fill it again.

Each service connects with the key of its own user, DATA/nats/keys/<user>.nk:
watcher, renderer, applier-<cluster>, auditor-<cluster>.`,
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
			return e.run(cmd.Context(), func(ctx context.Context, url string) error {
				fmt.Fprintf(cmd.OutOrStdout(), "bus ready url=%s keys=%s\n", url, filepath.Dir(e.data.natsKey("operator")))
				<-ctx.Done()
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultPlace(), "folder to keep the store and the keys in")
	cmd.Flags().IntVar(&e.port, "port", 4222, "port on 127.0.0.1; -1 takes a free one")
	cmd.Flags().StringSliceVar(&e.clusters, "cluster", []string{local}, "cluster to have users and consumers for; may be given several times")
	logging.Flags(cmd.Flags())
	return cmd
}

func natsProvisionCommand() *cobra.Command {
	var server, creds string
	var clusters []string
	var out format
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make the streams and consumers of a NATS server what Plumbline needs",
		Long: `Creates the streams and consumers of deploy/nats that are missing and changes those
that differ; run again, it changes nothing. The server's users are its own
configuration: see deploy/nats.`,
		Example: "  plumbline nats provision --server nats://nats.example.com:4222 --creds provisioner.nk --cluster local",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if server == "" || creds == "" {
				return usagef("want --server and --creds, the key of the user provisioner")
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
			report, err := provisionOnce(cmd.Context(), bus.Config{URL: server, Creds: creds, User: "provisioner"}, clusters, log)
			if err != nil {
				return err
			}
			if out == formatJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			for _, name := range report.Created {
				fmt.Fprintln(cmd.OutOrStdout(), "created", name)
			}
			for _, name := range report.Changed {
				fmt.Fprintln(cmd.OutOrStdout(), "changed", name)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "provisioned: epoch %s, %d events\n", report.Log.Epoch, report.Log.Last)
			return err
		},
	}
	cmd.Flags().StringVar(&server, "server", "", "address of the server")
	cmd.Flags().StringVar(&creds, "creds", "", "file with the nkey seed of the user provisioner")
	cmd.Flags().StringSliceVar(&clusters, "cluster", []string{local}, "cluster to have consumers for; may be given several times")
	out.flags(cmd)
	return cmd
}

func provisionOnce(ctx context.Context, c bus.Config, clusters []string, log *slog.Logger) (provision.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	nc, err := bus.Dial(ctx, c, log)
	if errors.Is(err, context.DeadlineExceeded) {
		return provision.Report{}, fmt.Errorf("no bus answers at %s: is the address right, and the key the provisioner's? (%w)", c.URL, err)
	}
	if err != nil {
		return provision.Report{}, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return provision.Report{}, err
	}
	return provision.Apply(ctx, js, provision.Options{Clusters: clusters})
}

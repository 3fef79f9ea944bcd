// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/applier"
	"github.com/plumbline-dev/plumbline/services/auditor"
	"github.com/plumbline-dev/plumbline/services/notifier"
	"github.com/plumbline-dev/plumbline/services/renderer"
	"github.com/plumbline-dev/plumbline/services/watcher"
)

// local is the cluster that up serves.
const local = "local"

// service is one of those that up runs: the same command, with the same flags,
// as its own binary.
type service struct {
	name    string
	user    string // on the bus
	command func(*pflag.FlagSet) process.RunFunc
	args    []string // its flags but for those of the bus
	// around, where set, runs what the service needs around it.
	around func(context.Context, process.Env, process.RunFunc) error
}

func (o *upOptions) services() []service {
	p := place(o.data)
	watch := []string{
		"--fleet", o.fleet, "--fleet-path", o.fleetPath, "--fleet-branch", o.fleetBranch, "--fleet-interval", o.fleetInterval.String(),
		"--mirrors", p.mirrors(), "--source-key", p.sourceKey(), "--local-recipient", p.recipient(local),
	}
	if o.gitCredentials != "" {
		watch = append(watch, "--git-credentials", o.gitCredentials)
	}
	if o.webhookListen != "" {
		watch = append(watch, "--webhook-listen", o.webhookListen, "--webhook-secrets", o.webhookSecrets)
	}
	all := []service{
		{name: "watcher", user: "watcher", command: watcher.Command, args: watch},
		{name: "renderer", user: "renderer", command: renderer.Command, args: []string{"--source-key", p.sourceKey()}},
		{
			name: "applier", user: "applier-" + local, command: applier.Command,
			args: []string{"--cluster", local, "--kubeconfig", o.kubeconfig, "--age-identity", p.identity(local)},
		},
	}
	audit := service{name: "auditor", user: "auditor-" + local, command: auditor.Command}
	identity := o.auditorKubeconfig
	if identity == "" {
		identity = p.auditor()
		audit.around = o.withMintedIdentity
	}
	audit.args = []string{"--cluster", local, "--kubeconfig", identity, "--digest-key", p.digestKey(local)}
	all = append(all, audit)
	if o.slackChannel != "" {
		all = append(all, service{
			name: "notifier", user: "notifier", command: notifier.Command,
			args: []string{"--slack-channel", o.slackChannel, "--slack-token-file", o.slackTokenFile, "--slack-url", o.slackURL},
		})
	}
	return all
}

// run is the service as up runs it, on a bus at url.
func (s service) run(url string, p place) process.RunFunc {
	return func(ctx context.Context, env process.Env) error {
		fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
		run := s.command(fs)
		args := append([]string{"--nats-url", url, "--nats-creds", p.natsKey(s.user)}, s.args...)
		if err := fs.Parse(args); err != nil {
			return err
		}
		if s.around != nil {
			return s.around(ctx, env, run)
		}
		return run(ctx, env)
	}
}

// env is what a service sees of its surroundings.
func (s service) env(log *slog.Logger) process.Env {
	return process.Env{
		Name: s.name, Version: process.Version(), Log: log.With("service", s.name),
		Getenv: os.Getenv, Health: &process.Health{},
	}
}

// withMintedIdentity runs the auditor under an identity of its own, which may
// only read, and keeps that identity up to date meanwhile. The API server may
// be away when it is asked for it.
func (o *upOptions) withMintedIdentity(ctx context.Context, env process.Env, run process.RunFunc) error {
	env.Health.Check("identity", func() error { return errors.New("waits for a read-only identity") })
	id, err := auditor.MintReadOnlyFrom(ctx, o.kubeconfig, filepath.Dir(place(o.data).auditor()), auditor.Grant{Secrets: o.auditSecrets})
	if err != nil {
		return fmt.Errorf("%w; or give the auditor an identity with --auditor-kubeconfig", err)
	}
	env.Health.Check("identity", func() error { return nil })
	var keeping sync.WaitGroup
	defer keeping.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keeping.Go(func() { id.Keep(ctx, env.Log) })
	return run(ctx, env)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/plumbline-dev/plumbline/internal/natsserver"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/notifier"
)

const upHelp = `Runs all of Plumbline in this process: watcher, renderer, applier, auditor, and a
bus with its store on disk. Each service speaks on the bus as its own user, with
no more rights than it has when it runs alone.

The fleet is a folder of declarations (Repository, Application, Cluster) in a Git
repository; docs/declarations.md describes them. What up keeps is in --data: the
log, the keys (made once; keep a copy), the mirrors. Another terminal finds it
there: 'plumbline status', 'plumbline events --follow'.

With --slack-channel a notifier runs too, and tells Slack what is wrong and when it
is over.

The applier writes to the cluster with --kubeconfig. For the auditor a read-only
identity is made there, unless --auditor-kubeconfig gives one.`

const upExample = `  plumbline up --fleet https://git.example.com/fleet.git --fleet-path clusters/prod
  plumbline up --fleet ./fleet --data ./state --webhook-listen 127.0.0.1:8080 --webhook-secrets ./secrets
  plumbline up --fleet ./fleet --slack-channel ops --slack-token-file ./slack.token`

// upOptions are the settings of up.
type upOptions struct {
	fleet, fleetPath, fleetBranch string
	fleetInterval                 time.Duration
	gitCredentials                string
	webhookListen, webhookSecrets string
	slackChannel, slackTokenFile  string
	slackURL                      string
	kubeconfig, auditorKubeconfig string
	auditSecrets                  bool
	data                          string
	natsPort                      port
	healthListen                  string
	logging                       process.Logging
}

func upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:     "up --fleet URL|DIR",
		GroupID: "run",
		Short:   "Run everything in one process",
		Long:    upHelp,
		Example: upExample,
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := o.logging.Logger(cmd.ErrOrStderr())
			if err != nil {
				return usage(err)
			}
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), log)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.fleet, "fleet", "", "the fleet repository: a URL, or a directory that is a Git repository")
	fs.StringVar(&o.fleetPath, "fleet-path", ".", "folder of the declarations in it")
	fs.StringVar(&o.fleetBranch, "fleet-branch", "main", "branch of it")
	fs.DurationVar(&o.fleetInterval, "fleet-interval", 30*time.Second, "time between two looks at it")
	fs.StringVar(&o.gitCredentials, "git-credentials", "", "folder with <repository>/{username,password,identity,known_hosts,ca.crt}")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "the cluster to converge (default $KUBECONFIG, then ~/.kube/config)")
	fs.StringVar(&o.auditorKubeconfig, "auditor-kubeconfig", "", "an identity that may read the cluster (default: one is made)")
	fs.BoolVar(&o.auditSecrets, "audit-secrets", false, "let the identity that is made read Secrets, to compare their values")
	fs.StringVar(&o.data, "data", defaultPlace(), "folder to keep the log, the keys and the mirrors in")
	o.natsPort = defaultPort
	fs.Var(&o.natsPort, "nats-port", "port of the bus on 127.0.0.1; -1 takes a free one")
	fs.StringVar(&o.webhookListen, "webhook-listen", "", "address to take POST /webhook/<repository> on (default: none, repositories are polled)")
	fs.StringVar(&o.webhookSecrets, "webhook-secrets", "", "folder with the secret of each repository's webhook in a file of its name")
	fs.StringVar(&o.slackChannel, "slack-channel", "", "Slack channel to tell what is wrong (default: none is told)")
	fs.StringVar(&o.slackTokenFile, "slack-token-file", "", "file with the bot token of a Slack app that is in the channel")
	fs.StringVar(&o.slackURL, "slack-url", notifier.DefaultURL, "where Slack's Web API begins")
	fs.StringVar(&o.healthListen, "health-listen", "", "address to answer GET /healthz, /readyz and /metrics on (default: none)")
	o.logging.Flags(fs)
	return cmd
}

// complete fills in what follows from the surroundings and refuses what can't
// work.
func (o *upOptions) complete() error {
	if o.fleet == "" {
		return usagef("--fleet is missing: give the URL of the fleet repository, or a directory that is one")
	}
	if o.webhookListen != "" && o.webhookSecrets == "" {
		return usagef("--webhook-listen needs --webhook-secrets: a webhook without a secret is refused")
	}
	if (o.slackChannel == "") != (o.slackTokenFile == "") {
		return usagef("--slack-channel and --slack-token-file go together")
	}
	if o.kubeconfig == "" {
		o.kubeconfig = defaultKubeconfig()
	}
	for name, path := range map[string]*string{"--kubeconfig": &o.kubeconfig, "--auditor-kubeconfig": &o.auditorKubeconfig} {
		if *path == "" {
			continue
		}
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("no cluster to converge: %s %s: %w", name, *path, errors.Unwrap(err))
		}
	}
	var err error
	o.data, err = filepath.Abs(o.data)
	return err
}

// defaultKubeconfig is the file that kubectl would read first.
func defaultKubeconfig() string {
	if list := filepath.SplitList(os.Getenv("KUBECONFIG")); len(list) > 0 && list[0] != "" {
		return list[0]
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".kube/config"
	}
	return filepath.Join(home, ".kube", "config")
}

// run runs bus and services until ctx ends, the bus the longest.
func (o *upOptions) run(ctx context.Context, stdout io.Writer, log *slog.Logger) error {
	p := place(o.data)
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.ensureKeys([]string{local}); err != nil {
		return err
	}
	kubeconfig, err := filepath.Abs(o.kubeconfig)
	if err != nil {
		return err
	}
	go process.Rest(ctx)
	server := &embedded{data: p, port: o.natsPort, clusters: []string{local}, kubeconfig: kubeconfig, log: log}
	return server.run(ctx, func(ctx context.Context, url string) error {
		health := &process.Health{}
		group, ctx := errgroup.WithContext(ctx)
		var begun []*process.Health
		var scrape *process.Scrape
		if o.healthListen != "" {
			scrape = process.NewScrape()
			health.Scraped(scrape.Handler())
		}
		for _, s := range o.services() {
			env, flush, err := s.env(log).Measured(ctx, scrape, true)
			if err != nil {
				return err
			}
			defer flush()
			health.Check(s.name, env.Health.Ready)
			begun = append(begun, env.Health)
			group.Go(func() error { return supervise(ctx, env, s.run(url, p)) })
		}
		if o.healthListen != "" {
			listener, err := health.Listen(o.healthListen)
			if err != nil {
				return err
			}
			defer listener.Close()
			o.healthListen = listener.Addr()
		}
		group.Go(func() error {
			if allBegun(ctx, begun) {
				o.print(stdout, url)
			}
			return nil
		})
		return group.Wait()
	})
}

// allBegun waits until every service has begun its work, or ctx ends: what is
// set wrongly is said before anything is said to be up.
func allBegun(ctx context.Context, services []*process.Health) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if !slices.ContainsFunc(services, func(h *process.Health) bool { return !h.Begun() }) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// print says where everything listens and what to try next.
func (o *upOptions) print(w io.Writer, url string) {
	p := place(o.data)
	hint := ""
	if o.data != defaultPlace() {
		hint = " --data " + o.data
	}
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "  %-10s%s\n", name, value) }
	fmt.Fprintf(&b, "plumbline %s is up\n", process.Version())
	line("fleet", fmt.Sprintf("%s, folder %s of branch %s, looked at every %s", withoutCredentials(o.fleet), o.fleetPath, o.fleetBranch, o.fleetInterval))
	line("cluster", fmt.Sprintf("%s, by %s", local, o.kubeconfig))
	line("bus", url)
	line("data", o.data)
	if o.webhookListen != "" {
		line("webhooks", fmt.Sprintf("POST http://%s/webhook/<repository>", o.webhookListen))
	}
	if o.slackChannel != "" {
		line("alerts", "Slack channel "+o.slackChannel)
	}
	if o.healthListen != "" {
		line("health", fmt.Sprintf("http://%s/readyz", o.healthListen))
	}
	fmt.Fprintf(&b, `
Try next, in another terminal:
  plumbline status%[1]s
  plumbline events --follow%[1]s
  nats --server %[2]s --nkey %[3]s --inbox-prefix _INBOX_reader sub 'plumbline.v1.>'

Ctrl-C stops it; what is in work is taken up again at the next start.
`, hint, url, p.natsKey("reader"))
	fmt.Fprint(w, b.String())
}

// withoutCredentials is a URL without what stands before its @.
func withoutCredentials(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if _, host, has := strings.Cut(rest, "@"); ok && has {
		return scheme + "://" + host
	}
	return url
}

// busState is what keeps the bus from working, as it was last told.
type busState struct{ why atomic.Pointer[error] }

// Waiting takes why the bus doesn't work; nil: it does.
func (s *busState) Waiting(why error) { s.why.Store(&why) }

// Ready is nil while the bus works.
func (s *busState) Ready() error {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return errors.New("starting")
}

// embedded is a bus in this process.
type embedded struct {
	data     place
	keys     string // folder; empty: in data
	host     string // empty: loopback
	port     port
	state    busState
	clusters []string
	log      *slog.Logger

	kubeconfig string // of the applier that runs next to it; empty: none does
}

// keysDir is the folder of <user>.nk.
func (e *embedded) keysDir() string {
	if e.keys != "" {
		return e.keys
	}
	return filepath.Dir(e.data.natsKey("operator"))
}

// run runs the bus, announces it, and runs during on it; it returns when both
// have ended.
func (e *embedded) run(ctx context.Context, during func(ctx context.Context, url string) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready := make(chan *natsserver.Server, 1)
	served := make(chan error, 1)
	go func() {
		served <- natsserver.Serve(serving, natsserver.Options{
			Dir: e.data.nats(), Keys: e.keys, Host: e.host, Port: int(e.port), Clusters: e.clusters,
			Log: e.log.With("service", "bus"), Waiting: e.state.Waiting,
		}, func(s *natsserver.Server) { ready <- s })
	}()
	var server *natsserver.Server
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		stop()
		return process.Stopped(serving, <-served)
	case server = <-ready:
	}
	err := e.announce(server.URL())
	if err == nil {
		err = e.during(ctx, server.URL(), served, during)
	}
	stop()
	return errors.Join(err, process.Stopped(serving, <-served), e.data.withdraw())
}

// during runs f until ctx ends or the bus does, whose error is put back.
func (e *embedded) during(ctx context.Context, url string, served chan error, f func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- f(ctx, url) }()
	select {
	case err := <-done:
		return err
	case err := <-served:
		cancel(err)
		served <- err
		return <-done
	}
}

func (e *embedded) announce(url string) error {
	return e.data.announce(running{
		Server: url, Keys: e.keysDir(), Clusters: e.clusters,
		Kubeconfig: e.kubeconfig, PID: os.Getpid(), Version: process.Version(), Started: time.Now().UTC(),
	})
}

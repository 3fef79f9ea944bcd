// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/plumbline-dev/plumbline/services/auditor"
)

// ApplierUser is who the applier is to the cluster. It may do everything:
// the rig's applications are of any kind.
const (
	ApplierUser = "plumbline-applier-local"
	auditorUser = "plumbline-auditor-local"
)

// prepare makes keys, identities and the processes' command lines.
func (r *Rig) prepare(ctx context.Context) error {
	if out, err := r.CLI(ctx, "keys", "init"); err != nil {
		return fmt.Errorf("rig: make keys: %w\n%s", err, out)
	}
	applier, err := r.kubeconfig("applier", ApplierUser)
	if err != nil {
		return err
	}
	audit, err := r.kubeconfig("auditor", auditorUser)
	if err != nil {
		return err
	}
	if err := r.Kube.Grant(ctx, ApplierUser, everything()); err != nil {
		return err
	}
	if err := r.Kube.Grant(ctx, auditorUser, auditor.ReadOnlyRole(auditor.Grant{Groups: []string{"shop.example.com"}, Secrets: true})); err != nil {
		return err
	}
	keys := func(name string) string { return filepath.Join(r.data(), "keys", name) }
	r.add("nats", "plumbline", "nats", "serve", "--data", r.data(), "--port", strconv.Itoa(r.ports.nats))
	r.service("watcher",
		"--fleet", r.Fleet.URL, "--fleet-interval", r.options.FleetInterval.String(),
		"--mirrors", filepath.Join(r.Dir, "mirrors"),
		"--source-key", keys("source.key"), "--local-recipient", keys("local.recipient"),
		"--webhook-listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.ports.webhook)),
		"--webhook-secrets", filepath.Join(r.Dir, "webhook-secrets"))
	r.service("renderer", "--source-key", keys("source.key"))
	r.service("applier", append(r.resync(), "--kubeconfig", applier, "--age-identity", keys("local.age"))...)
	r.service("auditor", append(r.resync(), "--kubeconfig", audit, "--digest-key", keys("local.digest.key"))...)
	if r.options.Slack == "" {
		return nil
	}
	slack, err := r.slack()
	if err != nil {
		return err
	}
	r.service(Notifier, slack...)
	return nil
}

// slack are the arguments of who tells Slack, whose token it writes.
func (r *Rig) slack() ([]string, error) {
	token := filepath.Join(r.Dir, "slack.token")
	if err := os.WriteFile(token, []byte(r.options.SlackToken+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	url, err := r.slackURL()
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	return []string{"--slack-url", url, "--slack-token-file", token, "--slack-channel", "ops"}, nil
}

func (r *Rig) resync() []string {
	if r.options.Resync == 0 {
		return nil
	}
	return []string{"--resync", r.options.Resync.String()}
}

// user is the NATS user of a service.
func user(service string) string {
	if service == "applier" || service == "auditor" {
		return service + "-local"
	}
	return service
}

func (r *Rig) service(name string, args ...string) {
	args = append(args, "--nats-url", r.busURL(name), "--nats-creds", r.Creds(user(name)))
	r.add(name, name, append(args, r.options.Args[name]...)...)
}

func (r *Rig) add(name, binary string, args ...string) {
	r.processes[name] = &Process{
		Name: name, Path: filepath.Join(r.options.Bin, binary), Args: args, Dir: filepath.Join(r.Dir, "log"), Env: r.options.Env,
	}
}

// Another is a second process of a service, with the same command line.
func (r *Rig) Another(service string) *Process {
	second := *r.processes[service]
	second.Name += "-2"
	second.cmd, second.exited = nil, nil
	return &second
}

// StartNATS starts the NATS process and returns when it is provisioned, as
// its operator finds it.
func (r *Rig) StartNATS(ctx context.Context) error {
	if err := r.startProvisioned(ctx, r.processes["nats"]); err != nil {
		return fmt.Errorf("rig: start nats: %w", err)
	}
	return nil
}

// startProvisioned starts the process that the bus is in, and waits until it
// is provisioned.
func (r *Rig) startProvisioned(ctx context.Context, p *Process) error {
	if err := p.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var missing error
	err := Until(ctx, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, fmt.Errorf("%s ended: %s", p.Name, p.Tail(5))
		}
		missing = r.provisioned(ctx) // whatever it is, it is not there yet
		return missing == nil, nil
	})
	if err != nil && missing != nil {
		return fmt.Errorf("%w: %w", err, missing)
	}
	return err
}

// Ask is [Rig.CLI] for what exits with more than one code; its error is that
// of running it at all.
func (r *Rig) Ask(ctx context.Context, args ...string) (out string, code int, err error) {
	out, err = r.CLI(ctx, args...)
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		return out, exit.ExitCode(), nil
	}
	return out, 0, err
}

// CLI runs the command line against the rig's NATS server and returns what it
// prints, both streams.
func (r *Rig) CLI(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.options.Bin, "plumbline"), append(args, "--data", r.data())...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// together is the name of the process that is everything at once.
const together = "up"

// UpTogether starts all of Plumbline in one process, as plumbline up does,
// with the rig's ports, keys and identities.
func (r *Rig) UpTogether(ctx context.Context) error {
	applier, err := r.Cluster.UserKubeconfig(ApplierUser)
	if err != nil {
		return err
	}
	audit, err := r.Cluster.UserKubeconfig(auditorUser)
	if err != nil {
		return err
	}
	args := []string{
		"up", "--data", r.data(),
		"--fleet", r.Fleet.URL, "--fleet-interval", r.options.FleetInterval.String(),
		"--kubeconfig", applier, "--auditor-kubeconfig", audit, "--nats-port", strconv.Itoa(r.ports.nats),
		"--webhook-listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.ports.webhook)),
		"--webhook-secrets", filepath.Join(r.Dir, "webhook-secrets"),
	}
	if r.options.Slack != "" {
		slack, err := r.slack()
		if err != nil {
			return err
		}
		args = append(args, slack...)
	}
	r.add(together, "plumbline", args...)
	if err := r.startProvisioned(ctx, r.processes[together]); err != nil {
		return fmt.Errorf("rig: start everything: %w", err)
	}
	r.Bus, err = Subscribe(ctx, r.URL, r.Creds("reader"))
	return err
}

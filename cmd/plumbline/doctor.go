// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/bus"
)

const doctorHelp = `Looks at everything that has to be right for Plumbline to work, and says for what
is not what to do:

  bus           the bus answers and takes the key; its log has an epoch
  provisioning  streams and consumers are as deploy/nats has them
  consumer      somebody works on what each consumer gets, and nothing is stuck
  key           each user's key is taken, and may ask what it must and no more
  cluster       each cluster answers; its version
  rights        applier and auditor may do what the kinds in the bundles need
  git           each repository could be read when it was last looked at
  fleet         no declaration is refused
  quarantine    no input is set aside
  clock         bus, API servers and this machine agree on the time
  version       services and command line are of one version
  store         there is room on the disk of the bus

Each line is ok, warn or fail; skip is what could not be looked at from here, and
how it could. Nothing is changed: rights to write are not tried out on the bus, and
a cluster is asked with self subject reviews. Next to an 'up', keys and kubeconfigs
are found by themselves.`

const doctorExample = `  plumbline doctor
  plumbline doctor --server nats://nats.example.com:4222 --creds operator.nk --keys ./keys
  plumbline doctor --applier-kubeconfig applier.kubeconfig --auditor-kubeconfig auditor.kubeconfig
  plumbline doctor -o json | jq -r '.[] | select(.verdict == "fail") | .remedy'`

// verdict is how a check came out.
type verdict string

const (
	verdictOK   verdict = "ok"
	verdictWarn verdict = "warn" // it works, and may not for long
	verdictFail verdict = "fail" // it does not work
	verdictSkip verdict = "skip" // it could not be looked at from here
)

// finding is one line of doctor.
type finding struct {
	Check   string  `json:"check"` // as its help lists them
	Subject string  `json:"subject,omitempty"`
	Verdict verdict `json:"verdict"`
	Message string  `json:"message"`
	Remedy  string  `json:"remedy,omitempty"` // what to do
}

// examination is one call of doctor.
type examination struct {
	at       target
	out      format
	keys     string
	clusters []string
	applier  lens
	auditor  lens

	bus     bus.Config
	running *running // nil: not next to an 'up' or 'nats serve'
	conn    *bus.Conn
	fleet   func() (*declaredFleet, error) // read once
	log     *slog.Logger
}

func doctorCommand() *cobra.Command {
	var x examination
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: "ask",
		Short:   "Check everything that has to be right, and say what to do where it is not",
		Long:    doctorHelp,
		Example: doctorExample,
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := x.examine(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return printFindings(cmd.OutOrStdout(), x.out, findings)
		},
	}
	cmd.Flags().StringVar(&x.keys, "keys", "", "folder of <user>.nk, to check each key (default: where 'up' keeps them)")
	cmd.Flags().StringSliceVar(&x.clusters, "cluster", nil, "cluster to check; may be given several times (default: those of the log)")
	cmd.Flags().StringVar(&x.applier.kubeconfig, "applier-kubeconfig", "", "the applier's kubeconfig, to check its cluster and its rights")
	cmd.Flags().StringVar(&x.auditor.kubeconfig, "auditor-kubeconfig", "", "the auditor's kubeconfig (default: the identity that 'up' made)")
	grouped(cmd, flagsCluster, "cluster", "applier-kubeconfig", "auditor-kubeconfig")
	x.at.flags(cmd)
	x.out.flags(cmd)
	return cmd
}

// check is one thing to look at. It returns within its context, or what it
// finds is left behind.
type check struct {
	name string
	run  func(context.Context) []finding
}

// checkTime is how long one check may take.
const checkTime = 20 * time.Second

// examine runs every check, all at once, and returns what they found in the
// order of the help.
func (x *examination) examine(ctx context.Context, stderr io.Writer) ([]finding, error) {
	config, err := x.at.config()
	if err != nil {
		return nil, err
	}
	x.bus, x.log = config, slog.New(slog.DiscardHandler)
	if x.at.server == "" {
		r, err := place(x.at.data).find()
		if err != nil {
			return nil, err
		}
		x.running = &r
		if x.keys == "" {
			x.keys = r.Keys
		}
	}
	conn, err := x.at.connect(ctx, io.Discard)
	if err != nil {
		return []finding{{
			Check: "bus", Subject: config.URL, Verdict: verdictFail, Message: err.Error(),
			Remedy: busRemedy(err),
		}, {Check: "all else", Verdict: verdictSkip, Message: "is not looked at without the bus"}}, nil
	}
	defer conn.Close()
	x.conn = conn
	x.fleet = sync.OnceValues(func() (*declaredFleet, error) {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		return x.declared(ctx)
	})
	checks := x.checks()
	results := make([][]finding, len(checks))
	progress := progressOn(stderr, "checks done")
	var wait sync.WaitGroup
	var done atomic.Int64
	for i, c := range checks {
		wait.Go(func() {
			results[i] = inTime(ctx, c)
			progress.step(int(done.Add(1)), len(checks))
		})
	}
	wait.Wait()
	progress.end()
	var all []finding
	for _, r := range results {
		all = append(all, r...)
	}
	return all, ctx.Err()
}

func busRemedy(err error) string {
	if errors.Is(err, bus.ErrRefused) {
		return "give --creds the seed that the server's users.conf has the public half of"
	}
	return "start it, or say where it is with --server and --creds"
}

// inTime runs a check and gives up on one that hangs.
func inTime(ctx context.Context, c check) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	done := make(chan []finding, 1)
	go func() { done <- c.run(ctx) }()
	select {
	case f := <-done:
		return f
	case <-ctx.Done():
		return []finding{{Check: c.name, Verdict: verdictFail, Message: fmt.Sprintf("no answer within %s", checkTime), Remedy: "look whether what it asks is overloaded or hangs, and run doctor again"}}
	}
}

func (x *examination) checks() []check {
	return []check{
		{"bus", x.checkBus},
		{"provisioning", x.checkProvisioning},
		{"key", x.checkKeys},
		{"cluster", x.checkClusters},
		{"git", x.checkGit},
		{"fleet", x.checkFleet},
		{"quarantine", x.checkQuarantine},
		{"version", x.checkVersions},
		{"store", x.checkStore},
	}
}

func printFindings(w io.Writer, out format, findings []finding) error {
	failed, warned := 0, 0
	for _, f := range findings {
		switch f.Verdict {
		case verdictFail:
			failed++
		case verdictWarn:
			warned++
		}
	}
	var verdict error
	if failed > 0 {
		verdict = &exit{code: exitError}
	}
	if out == formatJSON {
		if err := printJSON(w, findings); err != nil {
			return err
		}
		return verdict
	}
	colours := painter(w)
	for _, f := range findings {
		f.print(w, colours)
	}
	text := "all is well"
	switch {
	case failed > 0 && warned > 0:
		text = fmt.Sprintf("%d failed, %s", failed, count(warned, "warning"))
	case failed > 0:
		text = fmt.Sprintf("%d failed", failed)
	case warned > 0:
		text = count(warned, "warning") + ", nothing failed"
	}
	fmt.Fprintf(w, "\n%s\n", text)
	return verdict
}

func (f finding) print(w io.Writer, colours paint) {
	const indent = 6
	colour := map[verdict]string{verdictOK: green, verdictWarn: yellow, verdictFail: red, verdictSkip: faint}[f.Verdict]
	head := f.Check
	if f.Subject != "" {
		head += " " + f.Subject
	}
	for i, line := range wrap(printable(head+": "+f.Message), width-indent) {
		mark := strings.Repeat(" ", indent)
		if i == 0 {
			mark = colours.in(colour, pad(string(f.Verdict), indent))
		}
		fmt.Fprintln(w, mark+line)
	}
	if f.Remedy == "" {
		return
	}
	for i, line := range wrap(printable(f.Remedy), width-indent-3) {
		mark := "   "
		if i == 0 {
			mark = "-> "
		}
		fmt.Fprintln(w, strings.Repeat(" ", indent)+mark+line)
	}
}

// failed is a finding for what could not be asked.
func failed(name, subject string, err error, remedy string) []finding {
	return []finding{{Check: name, Subject: subject, Verdict: verdictFail, Message: err.Error(), Remedy: remedy}}
}

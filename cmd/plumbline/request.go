// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

func syncCommand() *cobra.Command {
	var at target
	var out format
	cmd := &cobra.Command{
		Use:     "sync [APP]",
		GroupID: "ask",
		Short:   "Ask everyone to look now, at one application or everywhere",
		Long: `Asks every service to look now: at Git, at the log and at the cluster. It changes
nothing that is in order; there is no need to, unless you can't wait for a poll.`,
		Example: "  plumbline sync\n  plumbline sync shop-web",
		Args:    between(0, 1, "at most one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return request(cmd, at, out, func(view *status.View) (events.Draft, string, error) {
				if len(args) == 0 {
					return events.Draft{Data: &events.SyncRequested{By: operator()}}, "everyone is asked to look now, everywhere", nil
				}
				if len(view.Of(args[0])) == 0 {
					return events.Draft{}, "", unknown(view, args[0])
				}
				draft := events.Draft{Data: &events.SyncRequested{By: operator()}, Address: events.Address{Application: args[0]}}
				return draft, "everyone is asked to look at " + args[0] + " now", nil
			})
		},
	}
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

func approveCommand() *cobra.Command {
	var at target
	var out format
	cmd := &cobra.Command{
		Use:     "approve APP DIGEST",
		GroupID: "ask",
		Short:   "Let go what is held under this digest, and nothing else",
		Long: `Approves what a guard holds: objects of APP that would be deleted. The digest names
exactly those objects of exactly that bundle; it is in the convergence.held (or
application.withdrawn) event and in 'plumbline status APP', and the beginning of
it is enough.`,
		Example: "  plumbline status shop-web\n  plumbline approve shop-web 3f9a1c20be77",
		Args:    between(2, 2, "APP and DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return request(cmd, at, out, func(view *status.View) (events.Draft, string, error) {
				s, err := held(view, args[0], args[1])
				if err != nil {
					return events.Draft{}, "", err
				}
				draft := events.Draft{
					Data:    &events.ApprovalGiven{Hold: s.Hold, By: operator()},
					Address: events.Address{Cluster: s.Cluster, Application: s.Application},
				}
				return draft, fmt.Sprintf("approved for %s: %s", s.Application, status.Short(s.Hold)), nil
			})
		},
	}
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// held finds what is held of an application under a digest or its beginning.
func held(view *status.View, application, digest string) (status.Status, error) {
	all := view.Of(application)
	if len(all) == 0 {
		return status.Status{}, unknown(view, application)
	}
	const shortest = 4
	digest = strings.TrimPrefix(strings.ToLower(digest), "sha256:")
	if len(digest) < shortest {
		return status.Status{}, usagef("DIGEST %q: want at least %d digits of it", digest, shortest)
	}
	var holds []string
	var found []status.Status
	for _, s := range all {
		if s.Hold == "" {
			continue
		}
		holds = append(holds, status.Short(s.Hold))
		if strings.HasPrefix(strings.TrimPrefix(s.Hold, "sha256:"), digest) {
			found = append(found, s)
		}
	}
	switch {
	case len(holds) == 0:
		return status.Status{}, fmt.Errorf("nothing of %s is held: it is %s, there is nothing to approve", application, all[0].State)
	case len(found) == 0:
		return status.Status{}, fmt.Errorf("what is held of %s is %s, not %s: look at it with 'plumbline status %s' before you approve it", application, strings.Join(holds, " and "), digest, application)
	case len(found) > 1:
		return status.Status{}, fmt.Errorf("%s is the beginning of several that are held of %s: give more of it", digest, application)
	}
	return found[0], nil
}

// request publishes what draft makes of the present state.
func request(cmd *cobra.Command, at target, out format, draft func(*status.View) (events.Draft, string, error)) error {
	now, err := at.look(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer now.end()
	d, said, err := draft(now.view)
	if err != nil {
		return err
	}
	return ask(cmd, now, out, d, said)
}

// ask publishes one event as the operator, and says so.
func ask(cmd *cobra.Command, now sight, out format, d events.Draft, said string) error {
	// The cause is this very call, so each call is an event of its own.
	cause := events.Cause{ID: fmt.Sprintf("%s/%d/%s", operator(), os.Getpid(), time.Now().UTC().Format(time.RFC3339Nano))}
	published, err := now.conn.Publish(now.ctx, cause, d)
	if errors.Is(err, bus.ErrDenied) {
		return fmt.Errorf("this key may not ask or approve: use the operator's (--creds .../operator.nk): %w", err)
	}
	if err != nil {
		return err
	}
	if out == formatTable {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), said)
		return err
	}
	p := eventPrinter{out: cmd.OutOrStdout(), format: out}
	for _, e := range published {
		if err := p.printJSON(bus.Record{Event: e}); err != nil {
			return err
		}
	}
	return nil
}

// operator is how whoever runs the command is named in what it publishes.
func operator() string {
	name := "operator"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

const diffHelp = `Compares what the cluster has with Git's newest bundle of an application, by the
auditor's own rules: only fields that Git declares count, defaults and additions
of others are no difference, and what audit.ignore takes out is told apart.

For each object that differs it shows a unified diff, from live (-) to Git (+), and
it says which objects would be created, which are no longer in Git and so pruned,
which of those a guard holds, and which pass to another application.

The cluster is only read, with --kubeconfig or, next to an 'up', with the
auditor's identity. The values of Secrets are never shown: that they differ is
told where the cluster's digest key is at hand (--digest-key), and which names are
missing in any case.`

const diffExample = `  plumbline diff shop-web
  plumbline diff shop-web --kubeconfig ~/.kube/config --context eu-west
  plumbline diff shop-web > /dev/null; echo $?
  plumbline diff shop-web -o json | jq -r '.objects[] | select(.state != "same") | .object.name'`

func diffCommand() *cobra.Command {
	var d diffing
	cmd := &cobra.Command{
		Use:     "diff APP",
		GroupID: "ask",
		Short:   "Show what differs between the cluster and Git",
		Long:    diffHelp,
		Example: diffExample,
		Args:    between(1, 1, "one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := d.at.reach(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return instead(err)
			}
			defer now.end()
			all, err := d.compare(now.ctx, now.conn, args[0], cmd.ErrOrStderr())
			if err != nil {
				return instead(err)
			}
			if err := all.print(cmd.OutOrStdout(), d.out); err != nil {
				return instead(err)
			}
			return all.exit()
		},
	}
	cmd.Flags().StringVar(&d.on, "cluster", "", "cluster of the application (default: the only one that has it)")
	cmd.Flags().StringVar(&d.digestKey, "digest-key", "", "file to compare values of Secrets with (default: DATA/keys/<cluster>.digest.key)")
	d.look.flags(cmd)
	d.at.flags(cmd)
	d.out.flags(cmd)
	return cmd
}

// instead gives a failure of diff its own exit code: 1 says that there are
// differences.
func instead(err error) error {
	var e *exit
	if errors.As(err, &e) || isUsage(err) {
		return err
	}
	return &exit{exitUnknown, err}
}

// diffing is one call of diff.
type diffing struct {
	at        target
	look      lens
	out       format
	on        string
	digestKey string
}

// differences is what diff says.
type differences struct {
	Application string `json:"application"`
	Cluster     string `json:"cluster"`
	Server      string `json:"server"` // the API server that was asked
	Commit      string `json:"commit"` // of Git's newest bundle
	Digest      string `json:"digest"` // of the bundle
	Observe     bool   `json:"observe,omitempty"`
	// Hold is the digest to approve where something is held.
	Hold    string             `json:"hold,omitempty"`
	Objects []objectDifference `json:"objects"`
}

// objectState is how an object of the cluster stands to Git's bundle.
type objectState string

const (
	stateSame    objectState = "same"
	stateChanged objectState = "changed"
	stateCreate  objectState = "create"  // Git declares it, and it isn't there
	statePrune   objectState = "prune"   // it is there, and no longer in Git
	stateHeld    objectState = "held"    // the same, and a guard stands before it
	stateLeft    objectState = "left"    // the same, and the policy leaves it alone
	statePassed  objectState = "passed"  // the same, and another application declares it
	stateUnknown objectState = "unknown" // it could not be read
)

// objectDifference is one object.
type objectDifference struct {
	Object  events.Object     `json:"object"`
	State   objectState       `json:"state"`
	File    string            `json:"file,omitempty"`
	Line    int               `json:"line,omitempty"`
	Fields  []fieldDifference `json:"fields,omitempty"`
	Message string            `json:"message,omitempty"` // for people, where the state needs one
	// Diff is the unified diff from live to Git.
	Diff string `json:"diff,omitempty"`
}

// fieldDifference is one field of it that Git declares and live has otherwise.
type fieldDifference struct {
	events.FieldDifference
	Ignored bool   `json:"ignored,omitempty"` // by a rule: it does not count
	Writer  string `json:"writer,omitempty"`  // the manager that owns it
}

// exit is nil where live equals Git.
func (d *differences) exit() error {
	unknown := 0
	for _, o := range d.Objects {
		switch o.State {
		case stateChanged, stateCreate, statePrune, stateHeld:
			return &exit{code: exitDiffers}
		case stateUnknown:
			unknown++
		}
	}
	if unknown > 0 {
		return &exit{exitUnknown, fmt.Errorf("%s could not be compared: give an identity that may read them with --kubeconfig", count(unknown, "object"))}
	}
	return nil
}

func (d *diffing) compare(ctx context.Context, conn *bus.Conn, application string, stderr io.Writer) (*differences, error) {
	all, err := fleetOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	app, err := d.choose(ctx, conn, all, application)
	if err != nil {
		return nil, err
	}
	m := app.Manifests()
	reader, err := d.look.open(d.at, app.Cluster)
	if err != nil {
		return nil, err
	}
	if reader == nil {
		return nil, usagef("diff looks into the cluster: say with --kubeconfig how %s is reached", app.Cluster)
	}
	if err := historyOf(ctx, conn, app); err != nil {
		return nil, err
	}
	key, err := d.secretKey(app.Cluster)
	if err != nil {
		return nil, err
	}
	bundle, err := bundleAt(ctx, conn, m.Bundle)
	if err != nil {
		return nil, err
	}
	view, err := latest(ctx, conn)
	if err != nil {
		return nil, err
	}
	c := comparison{
		app: app, all: all, reader: reader, key: key,
		observe:  m.Declaration.Converge.Mode == events.ModeObserve,
		progress: progressOn(stderr, "compared"),
		out: differences{
			Application: app.Application, Cluster: app.Cluster, Server: reader.Server(),
			Commit: m.Revision.Commit, Digest: m.Digest, Observe: m.Declaration.Converge.Mode == events.ModeObserve,
		},
	}
	for _, s := range view.Of(app.Application) {
		if s.Cluster == app.Cluster {
			c.out.Hold = s.Hold
		}
	}
	if err := c.run(ctx, bundle); err != nil {
		return nil, err
	}
	return &c.out, nil
}

// choose finds the application, and the cluster where it is on several.
func (d *diffing) choose(ctx context.Context, conn *bus.Conn, all []*explain.Application, name string) (*explain.Application, error) {
	var found []*explain.Application
	var on []string
	for _, a := range all {
		if a.Application == name && !a.Withdrawn() && (d.on == "" || a.Cluster == d.on) {
			found, on = append(found, a), append(on, a.Cluster)
		}
	}
	switch {
	case len(found) > 1:
		return nil, usagef("%s is on %s: say which with --cluster", name, strings.Join(on, " and "))
	case len(found) == 0:
		view, err := latest(ctx, conn)
		if err != nil {
			return nil, err
		}
		switch known := len(view.Of(name)) > 0; {
		case known && d.on != "":
			return nil, fmt.Errorf("%s is not declared on cluster %s: see 'plumbline status %s'", name, d.on, name)
		case known:
			return nil, fmt.Errorf("%s is no longer declared, or no commit of it was observed yet: there is nothing to compare with. See 'plumbline status %s'", name, name)
		}
		return nil, unknown(view, name)
	case found[0].Manifests() == nil:
		return nil, fmt.Errorf("%s was not rendered yet, so there is nothing to compare with: see 'plumbline status %s'", name, name)
	}
	return found[0], nil
}

// secretKey is what values of Secrets are compared with; the zero key where it
// is not at hand.
func (d *diffing) secretKey(cluster string) (seal.DigestKey, error) {
	if d.digestKey != "" {
		return seal.LoadDigestKey(d.digestKey)
	}
	if d.at.server != "" {
		return seal.DigestKey{}, nil
	}
	key, err := seal.LoadDigestKey(place(d.at.data).digestKey(cluster))
	if err != nil {
		return seal.DigestKey{}, nil // nobody asked for it
	}
	return key, nil
}

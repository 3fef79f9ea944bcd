// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

const whyHelp = `Says why an object is as it is: which application and which line of Git declare
it, which commit changed it last and whose, when it was applied and why, and what
differs from Git now or did lately, with the tool that wrote it.

With FIELD it says what Git declares for that field, what the cluster has, and
which field manager owns it. FIELD is dotted, as for kubectl explain, or a JSON
pointer, as in events:
  .spec.replicas
  .spec.template.spec.containers[name=web].image
  .metadata.labels['app.kubernetes.io/name']
  /spec/replicas

KIND is what kubectl takes: deploy, deployments, Deployment, deployment.apps. The
cluster says which short names there are; without one, Kubernetes' own are known.

What the cluster has is told only if it can be asked: give --kubeconfig, of any
identity that may read the object. Nothing is ever written to it. Without it the
answer comes from the events alone, and says so. An object that Git doesn't
declare is told by the cluster: what made it, as far as it is on record.`

const whyExample = `  plumbline why deploy/web -n shop
  plumbline why deploy/web -n shop .spec.replicas
  plumbline why configmap/settings -n shop /data/colour --kubeconfig ~/.kube/config
  plumbline why pod/web-7c9f-x2x -n shop --kubeconfig ~/.kube/config
  plumbline why deploy/web -o json | jq -r '.declared[] | "\(.file):\(.line)"'`

// inquiry is one call of why.
type inquiry struct {
	at        target
	look      lens
	out       format
	kind      string
	name      string
	namespace string
	on        string // cluster; empty: any
	field     []string
}

func whyCommand() *cobra.Command {
	var q inquiry
	cmd := &cobra.Command{
		Use:     "why KIND/NAME [FIELD]",
		GroupID: "ask",
		Short:   "Show which line of Git declares an object, who applied it, and what differs",
		Long:    whyHelp,
		Example: whyExample,
		Args:    between(1, 3, "KIND/NAME and at most one FIELD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.parse(args); err != nil {
				return err
			}
			now, err := q.at.reach(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer now.end()
			a, err := q.answer(now.ctx, now.conn)
			if err != nil {
				return err
			}
			return a.print(cmd.OutOrStdout(), q.out)
		},
	}
	cmd.Flags().StringVarP(&q.namespace, "namespace", "n", "", "namespace of the object (default: any, if only one has it)")
	cmd.Flags().StringVar(&q.on, "cluster", "", "cluster of the object (default: any)")
	q.look.flags(cmd)
	q.at.flags(cmd)
	q.out.flags(cmd)
	return cmd
}

// parse reads KIND/NAME [FIELD], or KIND NAME [FIELD].
func (q *inquiry) parse(args []string) error {
	kind, name, joined := strings.Cut(args[0], "/")
	rest := args[1:]
	if !joined && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	if kind == "" || name == "" || strings.Contains(name, "/") || len(rest) > 1 {
		return usagef("%q: want KIND/NAME and at most one FIELD, as deploy/web .spec.replicas", strings.Join(args, " "))
	}
	q.kind, q.name, q.field = kind, name, nil
	if len(rest) == 1 {
		field, err := explain.ParsePath(rest[0])
		if err != nil {
			return usage(err)
		}
		q.field = field
	}
	return nil
}

// answer is what why says.
type answer struct {
	Object   events.Object         `json:"object"`
	Declared []explain.Declaration `json:"declared"` // empty: Git doesn't declare it
	Live     *presence             `json:"live,omitempty"`
	Field    *explain.Field        `json:"field,omitempty"`
	// Unasked says why no cluster was asked; empty: one was.
	Unasked string `json:"unasked,omitempty"`
}

func (q *inquiry) answer(ctx context.Context, conn *bus.Conn) (*answer, error) {
	all, err := fleetOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	if q.on != "" {
		all = slices.DeleteFunc(all, func(a *explain.Application) bool { return a.Cluster != q.on })
		if len(all) == 0 {
			return nil, fmt.Errorf("no application is known on cluster %q: see 'plumbline status'", q.on)
		}
	}
	reader, err := q.look.open(q.at, or(q.on, local))
	if err != nil {
		return nil, err
	}
	o, err := q.find(all, reader)
	if err != nil {
		return nil, err
	}
	a := &answer{Object: o, Declared: explain.Declarations(o, all)}
	if len(a.Declared) > 0 {
		for _, app := range all {
			if slices.ContainsFunc(a.Declared, func(d explain.Declaration) bool { return d.Cluster == app.Cluster && d.Application == app.Application }) {
				if err := historyOf(ctx, conn, app); err != nil {
					return nil, err
				}
			}
		}
		a.Declared = explain.Declarations(o, all)
		a.Object = a.Declared[0].Object.Object
		a.Object.Namespace = o.Namespace
	}
	if reader != nil && q.on == "" && clusters(a.Declared) > 1 {
		return nil, usagef("%s is declared on several clusters: say with --cluster which one --kubeconfig reaches", o)
	}
	return a, q.lookAt(ctx, conn, reader, a, all)
}

// lookAt adds what the cluster has, and what is known of the field.
func (q *inquiry) lookAt(ctx context.Context, conn *bus.Conn, reader *cluster.Reader, a *answer, all []*explain.Application) error {
	var body map[string]any
	var declaration *explain.Declaration
	if len(a.Declared) > 0 {
		declaration = &a.Declared[0]
	}
	if declaration != nil && q.field != nil {
		var err error
		if body, err = bodyOf(ctx, conn, declaration); err != nil {
			return err
		}
	}
	a.Unasked = "no --kubeconfig"
	var seen *glance
	if reader != nil {
		var err error
		if seen, err = observe(ctx, reader, a.Object, all); err != nil {
			if len(a.Declared) == 0 || q.look.kubeconfig != "" {
				return err
			}
			a.Unasked = err.Error()
		} else {
			a.Live, a.Unasked = &seen.presence, ""
		}
	}
	if declaration == nil && (a.Live == nil || !a.Live.Exists) {
		return q.nowhere(a, all)
	}
	if q.field == nil {
		return nil
	}
	var live map[string]any
	if seen != nil && seen.body != nil {
		live = seen.body.Object
	}
	tokens, ok := explain.Select(q.field, body, live)
	if !ok {
		return fmt.Errorf("%s has no %s, neither in Git nor in the cluster: look at a field above it", a.Object, strings.Join(q.field, "."))
	}
	field := explain.FieldOf(tokens, body, declaration)
	if live != nil {
		with := compare.Comparing{Owners: compare.OwnersOf(seen.body.GetManagedFields())}
		field.Look(body, live, with)
	}
	a.Field = &field
	return nil
}

// nowhere is the error for an object that neither Git nor the cluster knows.
func (q *inquiry) nowhere(a *answer, all []*explain.Application) error {
	if a.Live != nil {
		return fmt.Errorf("no application declares %s, and the cluster at %s doesn't have it either", a.Object, a.Live.Server)
	}
	var near []string
	for _, app := range all {
		for _, o := range app.Objects() {
			if o.Kind == a.Object.Kind && o.Group == a.Object.Group {
				near = append(near, o.Object.String())
			}
		}
	}
	slices.Sort(near)
	near = slices.Compact(near)
	const most = 8
	if len(near) > most {
		near = append(near[:most], "…")
	}
	hint := "give --kubeconfig to ask the cluster who made it"
	if len(near) > 0 {
		hint = "Git declares " + strings.Join(near, ", ") + "; or " + hint
	}
	return fmt.Errorf("no application declares %s: %s", a.Object, hint)
}

// find says which object is meant, its namespace as the cluster has it.
func (q *inquiry) find(all []*explain.Application, reader *cluster.Reader) (events.Object, error) {
	var known []explain.Kind
	for _, a := range all {
		for _, o := range a.Objects() {
			known = append(known, explain.KindOf(o.Object))
		}
	}
	kinds, err := q.kinds(known, reader)
	if err != nil {
		return events.Object{}, err
	}
	var found []events.Object
	for _, a := range all {
		for _, o := range a.Objects() {
			if o.Name == q.name && slices.Contains(kinds, explain.KindOf(o.Object)) {
				found = append(found, q.scoped(o.Object, reader))
			}
		}
	}
	found = slices.DeleteFunc(found, func(o events.Object) bool {
		return q.namespace != "" && o.Namespace != "" && o.Namespace != q.namespace
	})
	slices.SortFunc(found, func(a, b events.Object) int { return strings.Compare(a.Key(), b.Key()) })
	found = slices.CompactFunc(found, func(a, b events.Object) bool { return a.Key() == b.Key() })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		o := events.Object{Group: kinds[0].Group, Kind: kinds[0].Name, Namespace: q.namespace, Name: q.name}
		if reader != nil && o.Namespace == "" {
			o.Namespace = "default"
		}
		return q.scoped(o, reader), nil
	}
	var names []string
	for _, o := range found {
		names = append(names, o.String())
	}
	return events.Object{}, usagef("%s/%s may be %s: say which with -n, or with the kind's group", q.kind, q.name, strings.Join(names, " or "))
}

// scoped takes the namespace away from an object of a kind that has none, where
// there is a cluster to say so.
func (q *inquiry) scoped(o events.Object, reader *cluster.Reader) events.Object {
	if reader == nil {
		return o
	}
	resolved, err := reader.Resolve(o, "")
	if err != nil {
		return o // it is not asked then; the bundles alone tell
	}
	return resolved
}

// kinds are the kinds that may be meant, at least one.
func (q *inquiry) kinds(known []explain.Kind, reader *cluster.Reader) ([]explain.Kind, error) {
	if reader != nil {
		gk, err := reader.Kind(q.kind)
		if err == nil {
			return []explain.Kind{{Group: gk.Group, Name: gk.Kind}}, nil
		}
		if !errors.Is(err, cluster.ErrUnserved) && q.look.kubeconfig != "" {
			return nil, err
		}
	}
	if kinds := explain.FindKinds(q.kind, known); len(kinds) > 0 {
		return kinds, nil
	}
	var names []string
	for _, k := range known {
		names = append(names, k.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil, fmt.Errorf("no bundle is known yet: has anything been rendered? See 'plumbline status'")
	}
	return nil, fmt.Errorf("no application declares an object of a kind %q; there are: %s. For another kind, give --kubeconfig", q.kind, strings.Join(names, ", "))
}

// bodyOf is the declared body; nil where its bundle is not there any more.
func bodyOf(ctx context.Context, conn *bus.Conn, d *explain.Declaration) (map[string]any, error) {
	bundle, err := bundleAt(ctx, conn, d.Bundle)
	if err != nil {
		return nil, err
	}
	for _, o := range bundle.Objects {
		if o.Digest == d.Digest && o.Name == d.Object.Name && o.Kind == d.Object.Kind {
			return o.Body, nil
		}
	}
	return nil, nil
}

func bundleAt(ctx context.Context, conn *bus.Conn, at events.Blob) (manifest.Bundle, error) {
	data, err := conn.Blobs().Get(ctx, at)
	if err != nil {
		return manifest.Bundle{}, fmt.Errorf("read the bundle: %w; 'plumbline sync' has it sent again", err)
	}
	return manifest.Decode(data)
}

func clusters(all []explain.Declaration) int {
	names := map[string]bool{}
	for _, d := range all {
		names[d.Cluster] = true
	}
	return len(names)
}

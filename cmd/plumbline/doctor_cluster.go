// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// identity is a service's way into a cluster.
type identity struct {
	service    string
	kubeconfig string
	verbs      []string // that it needs on every kind in its bundles
}

var (
	applierVerbs = []string{"get", "list", "watch", "create", "patch", "delete"}
	auditorVerbs = []string{"get", "list", "watch"}
)

// identities are those that are at hand. kubeconfigs are of one cluster: the
// one that was named, or the only one.
func (x *examination) identities(on string) []identity {
	applier, auditor := x.applier.kubeconfig, x.auditor.kubeconfig
	if x.running != nil {
		applier = or(applier, x.running.Kubeconfig)
		auditor = or(auditor, mintedFor(x.at, on))
	}
	return []identity{{"applier", applier, applierVerbs}, {"auditor", auditor, auditorVerbs}}
}

// checkClusters asks each cluster with the identities at hand.
func (x *examination) checkClusters(ctx context.Context) []finding {
	names, err := x.clusterNames(ctx)
	if err != nil {
		return failed("cluster", "", err, "")
	}
	fleet, err := x.fleet()
	if err != nil {
		return failed("cluster", "", err, "")
	}
	if len(names) > 1 {
		return []finding{{
			Check: "cluster", Subject: strings.Join(names, ", "), Verdict: verdictSkip, Message: "one is looked at at a time",
			Remedy: "say which with --cluster, and how it is reached with --applier-kubeconfig and --auditor-kubeconfig",
		}}
	}
	on := names[0]
	var found []finding
	reached := map[string]bool{}
	for _, id := range x.identities(on) {
		if id.kubeconfig == "" {
			found = append(found, finding{
				Check: "rights", Subject: fmt.Sprintf("%s of %s", id.service, on), Verdict: verdictSkip, Message: "its kubeconfig is not at hand",
				Remedy: fmt.Sprintf("give it with --%s-kubeconfig", id.service),
			})
			continue
		}
		found = append(found, id.check(ctx, on, needs(fleet, on), reached)...)
	}
	return found
}

// check asks one cluster with one identity. reached are the servers that were
// told of already.
func (id identity) check(ctx context.Context, on string, kinds []need, reached map[string]bool) []finding {
	subject := fmt.Sprintf("%s of %s", id.service, on)
	reader, err := cluster.Open(cluster.Options{Kubeconfig: id.kubeconfig, Agent: "plumbline-cli/" + process.Version()})
	if err != nil {
		return failed("cluster", subject, err, "give the kubeconfig that the "+id.service+" runs with")
	}
	server, err := reader.Look(ctx)
	if err != nil {
		return failed("cluster", on, fmt.Errorf("%s: %w", reader.Server(), err), "does the API server run, and is it reached from here? What is applied stays as it is meanwhile")
	}
	var found []finding
	if !reached[reader.Server()] {
		reached[reader.Server()] = true
		found = append(found,
			finding{Check: "cluster", Subject: on, Verdict: verdictOK, Message: fmt.Sprintf("%s answers, Kubernetes %s", reader.Server(), server.Version)},
			skew("cluster "+on, server.Date, server.Asked, time.Second))
	}
	user, err := reader.User(ctx)
	if err != nil {
		return append(found, failed("rights", subject, err, "give the "+id.service+" a valid token or certificate")...)
	}
	return append(found, id.rights(ctx, subject, user, reader, kinds))
}

// rights asks for every kind in the bundles whether the identity may do what
// it needs to.
func (id identity) rights(ctx context.Context, subject, user string, reader *cluster.Reader, kinds []need) finding {
	f := finding{Check: "rights", Subject: subject, Verdict: verdictOK}
	var lacks, unserved []string
	for _, n := range kinds {
		resource, err := reader.Find(n.object)
		if errors.Is(err, cluster.ErrUnserved) {
			unserved = append(unserved, n.object.Kind)
			continue
		}
		if err != nil {
			return failed("rights", subject, err, "")[0]
		}
		where := n.object.Namespace
		if !resource.Namespaced {
			where = ""
		}
		var denied []string
		for _, verb := range id.verbs {
			may, err := reader.May(ctx, verb, resource, where)
			if err != nil {
				return failed("rights", subject, err, "")[0]
			}
			if !may {
				denied = append(denied, verb)
			}
		}
		if len(denied) > 0 {
			text := strings.Join(denied, ", ") + " " + resource.GroupVersionResource.Resource
			if where != "" {
				text += " in " + where
			}
			lacks = append(lacks, text)
		}
	}
	f.Message = fmt.Sprintf("%s may %s the %s in the bundles", user, strings.Join(id.verbs, ", "), count(len(kinds), "kind"))
	switch {
	case len(kinds) == 0:
		f.Verdict, f.Message = verdictSkip, "no bundle is known yet: nothing is needed"
	case len(lacks) > 0:
		f.Verdict, f.Message = verdictFail, fmt.Sprintf("%s may not %s", user, strings.Join(lacks, "; "))
		f.Remedy = "grant it, by a Role in the namespace or by the ClusterRole of the " + id.service
		if id.service == "auditor" {
			f.Verdict, f.Remedy = verdictWarn, f.Remedy+": until then those objects are not audited"
		}
	case len(unserved) > 0:
		f.Verdict, f.Message = verdictWarn, fmt.Sprintf("the cluster doesn't serve %s", strings.Join(unserved, ", "))
		f.Remedy = "install the CRD, or declare it: it is applied first"
	}
	return f
}

// need is a kind of object in a namespace.
type need struct{ object events.Object }

// needs are the kinds and namespaces of a cluster's bundles, one of each.
func needs(fleet *declaredFleet, on string) []need {
	found := map[string]need{}
	for _, a := range fleet.applications {
		if a.Cluster != on {
			continue
		}
		for _, o := range a.Objects() {
			found[o.Group+"/"+o.Kind+"/"+o.Namespace] = need{o.Object}
		}
	}
	var out []need
	for _, key := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[key])
	}
	return out
}

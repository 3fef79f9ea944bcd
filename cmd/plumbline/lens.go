// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// lens says how a command looks into a cluster, if it does.
type lens struct {
	kubeconfig, context string
}

func (l *lens) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.kubeconfig, "kubeconfig", "", "the cluster to look into (default: the auditor's read-only identity, where 'up' has made one)")
	cmd.Flags().StringVar(&l.context, "context", "", "context of --kubeconfig (default: its current one)")
	grouped(cmd, flagsCluster, "kubeconfig", "context")
}

// open opens the cluster that serves is; nil where there is no kubeconfig to
// reach it by.
func (l *lens) open(at target, serves string) (*cluster.Reader, error) {
	file := l.kubeconfig
	if file == "" && l.context != "" {
		return nil, usagef("--context needs --kubeconfig")
	}
	if file == "" {
		if file = mintedFor(at, serves); file == "" {
			return nil, nil
		}
	}
	return cluster.Open(cluster.Options{Kubeconfig: file, Context: l.context, Agent: "plumbline-cli/" + process.Version()})
}

// mintedFor is the read-only identity that 'up' made for its auditor, where the
// command speaks to that 'up' and about its cluster; else "".
func mintedFor(at target, serves string) string {
	if at.server != "" {
		return ""
	}
	r, err := place(at.data).find()
	if err != nil || !slices.Equal(r.Clusters, []string{serves}) {
		return ""
	}
	if _, err := os.Stat(place(at.data).auditor()); err != nil {
		return ""
	}
	return place(at.data).auditor()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "kubelab:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "kubelab",
		Short:         "A real Kubernetes control plane in one process, for tests",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(upCommand(), downCommand(), kubeconfigCommand(), compactCommand(), versionCommand())
	return root
}

func upCommand() *cobra.Command {
	opts := upOptions{Nodes: 1, ParentPID: os.Getppid()}
	cmd := &cobra.Command{
		Use:   "up --dir DIR",
		Short: "Run a cluster until SIGINT, SIGTERM or the end of the parent process",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	addDirFlag(cmd, &opts.Dir)
	flags := cmd.Flags()
	flags.IntVar(&opts.Nodes, "nodes", opts.Nodes, "nodes to run; more nodes than before are added, fewer are removed")
	flags.BoolVar(&opts.Audit, "audit", false, "write one line of JSON per request (metadata only) to DIR/audit.log")
	flags.BoolVar(&opts.Fsync, "fsync", false, "make etcd fsync; only needed to survive a crash of the machine")
	flags.IntVar(&opts.Bump, "bump-revision", 0, "raise etcd's revision by at least so many and compact what is below, before anything else starts: for data from a backup")
	flags.StringVar(&opts.Template, "template", "", "when DIR has no data, begin with a copy of etcd's data in this folder: of a cluster that was stopped after its first start")
	flags.IntVar(&opts.ParentPID, "parent-pid", opts.ParentPID, "stop when this process ends; 0 keeps running without it")
	flags.Lookup("parent-pid").DefValue = "the parent process"
	return cmd
}

func downCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down --dir DIR",
		Short: "Stop the cluster of a directory and wait until it has ended; its data stays",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(cmd.Context(), layout(dir))
		},
	}
	addDirFlag(cmd, &dir)
	return cmd
}

func kubeconfigCommand() *cobra.Command {
	var (
		dir, user, out string
		groups         []string
	)
	cmd := &cobra.Command{
		Use:   "kubeconfig --dir DIR --user NAME --out FILE",
		Short: "Mint a client certificate for a user and write a kubeconfig with it",
		Long: `Mint a client certificate for a user and write a kubeconfig with it.

The user may do nothing that RBAC does not grant it: bind roles to its name, or
to one of its groups. The cluster need not be running, but must have run once.`,
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			return mintKubeconfig(layout(dir), user, groups, out)
		},
	}
	addDirFlag(cmd, &dir)
	flags := cmd.Flags()
	flags.StringVar(&user, "user", "", "user name (the certificate's common name)")
	flags.StringArrayVar(&groups, "group", nil, "group of the user; may be given several times")
	flags.StringVar(&out, "out", "", "file to write")
	for _, name := range []string{"user", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag of that name was added just above
		}
	}
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of Kubernetes that it runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kubelab kubernetes=%s %s %s/%s\n",
				version.Get().GitVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func addDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "directory of the cluster; made when missing")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // the flag was added just above
	}
}

// errStopped is the cause of an end that was asked for.
var errStopped = errors.New("stopped")

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"golang.org/x/sync/errgroup"
)

// bumpKey is written to bump the revision. The API server reads what is below
// /registry alone.
const bumpKey = "/kubelab/bump"

// bump raises etcd's revision by at least so many and compacts what is below:
// what an operator does after putting a backup back, so that nobody takes a
// resourceVersion for one that was seen before.
func bump(ctx context.Context, etcd *embed.Etcd, by int) error {
	const writers = 32
	client := v3client.New(etcd.Server)
	defer func() { _ = client.Close() }() // it is in this process
	group, writing := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for range by/writers + 1 {
				if _, err := client.Put(writing, bumpKey, ""); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("bump the revision of etcd: %w", err)
	}
	_, err := compactAll(ctx, client)
	return err
}

// compactAll makes etcd forget every state but the present one, and returns
// its revision.
func compactAll(ctx context.Context, client *clientv3.Client) (int64, error) {
	now, err := client.Get(ctx, bumpKey)
	if err == nil {
		_, err = client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		return 0, fmt.Errorf("compact etcd: %w", err)
	}
	return now.Header.Revision, nil
}

func compactCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "compact --dir DIR",
		Short: "Have etcd of a running cluster forget every state but the present one",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			revision, err := compact(cmd.Context(), layout(dir))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "compacted revision=%d\n", revision)
			return err
		},
	}
	addDirFlag(cmd, &dir)
	return cmd
}

func compact(ctx context.Context, dir layout) (int64, error) {
	endpoint, err := os.ReadFile(dir.run("etcd"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("no cluster runs in %s; start it with: kubelab up --dir %s", string(dir), string(dir))
	}
	if err != nil {
		return 0, fmt.Errorf("find etcd: %w", err)
	}
	tls, err := transport.TLSInfo{
		CertFile: dir.pki("etcd.crt"), KeyFile: dir.pki("etcd.key"), TrustedCAFile: dir.pki("etcd-ca.crt"),
	}.ClientConfig()
	if err != nil {
		return 0, fmt.Errorf("find etcd: %w", err)
	}
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{string(endpoint)}, TLS: tls, DialTimeout: stopTimeout})
	if err != nil {
		return 0, fmt.Errorf("find etcd: %w", err)
	}
	defer func() { _ = client.Close() }() // the process ends with it
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return compactAll(ctx, client)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// ownKeys begin the keys of what a first start writes for its cluster alone:
// what holds its authority (ConfigMaps, ClusterTrustBundles), its port (the
// Service kubernetes, with the address that is taken for it) or a time that goes
// by (Leases, Events). The components write all of it anew where it is missing;
// of what is there some would stay, or be read before it is mended.
var ownKeys = []string{
	"/registry/configmaps/",
	"/registry/clustertrustbundles/",
	"/registry/services/",
	"/registry/ipaddresses/",
	"/registry/leases/",
	"/registry/peerserverleases/",
	"/registry/events/",
}

// seed begins the data of a cluster that has none with a copy of template. The
// data is there as a whole or not at all, and beside it, until forgetOrigin has
// done its part, the mark that it isn't the cluster's own yet.
func (l layout) seed(template string) error {
	data := filepath.Join(l.etcd(), "member")
	if begun, err := exists(data); begun || err != nil {
		return err
	}
	temp := data + ".tmp"
	err := os.RemoveAll(temp)
	if err == nil {
		err = os.CopyFS(temp, os.DirFS(filepath.Join(template, "member")))
	}
	if err == nil {
		err = writeFile(l.foreign(), nil)
	}
	if err == nil {
		err = os.Rename(temp, data)
	}
	if err != nil {
		return fmt.Errorf("begin with the data of %s: %w", template, err)
	}
	return nil
}

// forgetOrigin removes what is only right in the cluster that the data was taken
// from, where it is marked so. It must come before the API server.
func (l layout) forgetOrigin(ctx context.Context, etcd *embed.Etcd) error {
	if foreign, err := exists(l.foreign()); !foreign || err != nil {
		return err
	}
	client := v3client.New(etcd.Server)
	defer func() { _ = client.Close() }() // it is in this process
	var deletes []clientv3.Op
	for _, prefix := range ownKeys {
		deletes = append(deletes, clientv3.OpDelete(prefix, clientv3.WithPrefix()))
	}
	if _, err := client.Txn(ctx).Then(deletes...).Commit(); err != nil {
		return fmt.Errorf("remove what is the template's own: %w", err)
	}
	return os.Remove(l.foreign())
}

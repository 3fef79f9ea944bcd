// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// walSegment is the size in bytes of a file of etcd's log. Each start makes one
// or two and writes them full of zeros; etcd's own 64 MB a lab never fills.
const walSegment = 4 << 20

// startEtcd starts a single etcd member that keeps its data in dir. It serves
// on a free loopback port, to holders of a certificate of etcd's authority.
func startEtcd(ctx context.Context, dir layout, fsync bool) (*embed.Etcd, error) {
	wal.SegmentSizeBytes = walSegment
	etcd, err := embed.StartEtcd(etcdConfig(dir, fsync))
	if err != nil {
		return nil, fmt.Errorf("start etcd (its log is in %s): %w", dir.log(), err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		etcd.Close()
		return nil, context.Cause(ctx)
	}
}

func etcdConfig(dir layout, fsync bool) *embed.Config {
	anyPort := url.URL{Scheme: "https", Host: "127.0.0.1:0"}
	// A member must have a peer address to be named by. There are no peers, so
	// nothing listens there.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}

	config := embed.NewConfig()
	config.Name = "kubelab"
	config.Dir = dir.etcd()
	config.UnsafeNoFsync = !fsync
	config.ListenClientUrls = []url.URL{anyPort}
	config.AdvertiseClientUrls = []url.URL{anyPort}
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	config.ClientTLSInfo = transport.TLSInfo{
		CertFile:       dir.pki("etcd.crt"),
		KeyFile:        dir.pki("etcd.key"),
		TrustedCAFile:  dir.pki("etcd-ca.crt"),
		ClientCertAuth: true,
	}
	// A lone member wins every election; it need not wait a second to find out.
	// A tick is work for etcd, so that 100 a second are a quarter of what a control
	// plane that has nothing to do costs: there are 20.
	config.TickMs = 50
	config.ElectionMs = 250
	config.EnableGRPCGateway = false
	config.LogLevel = "error"
	config.LogOutputs = []string{dir.log()}
	return config
}

// etcdEndpoint is where etcd listens for clients.
func etcdEndpoint(etcd *embed.Etcd) string {
	return "https://" + etcd.Clients[0].Addr().String()
}

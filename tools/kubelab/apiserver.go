// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// Addresses inside the cluster. Nothing routes to them; they only need to be
// many, and to overlap neither each other nor loopback.
const (
	serviceRange = "10.96.0.0/16"
	podRange     = "10.128.0.1/12"
)

// serviceIP is the address of the Service kubernetes: the first of its range.
var serviceIP = net.IPv4(10, 96, 0, 1)

// auditPolicy logs metadata only, and one line per request: what is left after
// RequestReceived is ResponseComplete, and for a watch also ResponseStarted.
//
//go:embed audit-policy.yaml
var auditPolicy []byte

// newAPIServer prepares kube-apiserver to serve on listener.
func newAPIServer(ctx context.Context, dir layout, listener net.Listener, etcdURL string, audit bool) (component, error) {
	opts := options.NewServerRunOptions()
	opts.SecureServing.Listener = listener
	args := apiServerArgs(dir, etcdURL)
	if audit {
		if err := writeFile(dir.run("audit-policy.yaml"), auditPolicy); err != nil {
			return component{}, err
		}
		args = append(args,
			"--audit-policy-file="+dir.run("audit-policy.yaml"),
			"--audit-log-path="+dir.audit(),
		)
	}
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	sets := opts.Flags()
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return component{}, fmt.Errorf("kube-apiserver: %w", err)
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return component{}, fmt.Errorf("kube-apiserver: set feature gates: %w", err)
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return component{}, fmt.Errorf("kube-apiserver: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return component{}, fmt.Errorf("kube-apiserver: %w", utilerrors.NewAggregate(errs))
	}
	return component{name: "kube-apiserver", run: func(ctx context.Context) error {
		return app.Run(ctx, completed)
	}}, nil
}

func apiServerArgs(dir layout, etcdURL string) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--etcd-cafile=" + dir.pki("etcd-ca.crt"),
		"--etcd-certfile=" + dir.pki("etcd.crt"),
		"--etcd-keyfile=" + dir.pki("etcd.key"),
		"--tls-cert-file=" + dir.pki("apiserver.crt"),
		"--tls-private-key-file=" + dir.pki("apiserver.key"),
		"--client-ca-file=" + dir.pki("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + dir.pki("sa.pub"),
		"--service-account-signing-key-file=" + dir.pki("sa.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--allow-privileged=true",
		// Endpoints may not be loopback addresses, and there is no other.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--profiling=false",
	}
}

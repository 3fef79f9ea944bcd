// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllermanageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// newControllerManager prepares kube-controller-manager, without leader
// election and without a port of its own. Its default of 20 requests a second
// would make every rollout of a test wait in a queue.
func newControllerManager(ctx context.Context, dir layout) (component, error) {
	opts, err := controllermanageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return component{}, fmt.Errorf("kube-controller-manager: %w", err)
	}
	all, disabled, aliases := controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases()
	sets := opts.Flags(all, disabled, aliases)
	flags := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	err = flags.Parse([]string{
		"--kubeconfig=" + dir.run("controller-manager"),
		"--leader-elect=false",
		"--secure-port=0",
		// node-ipam-controller hands out pod ranges; kwok needs none and the
		// controller refuses to start without one.
		"--controllers=*,-node-ipam-controller",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--root-ca-file=" + dir.pki("ca.crt"),
		"--service-account-private-key-file=" + dir.pki("sa.key"),
		"--cluster-signing-cert-file=" + dir.pki("ca.crt"),
		"--cluster-signing-key-file=" + dir.pki("ca.key"),
		"--profiling=false",
	})
	if err != nil {
		return component{}, fmt.Errorf("kube-controller-manager: %w", err)
	}
	config, err := opts.Config(ctx, all, disabled, aliases)
	if err != nil {
		return component{}, fmt.Errorf("kube-controller-manager: %w", err)
	}
	return component{name: "kube-controller-manager", run: func(ctx context.Context) error {
		return controllermanager.Run(ctx, config.Complete())
	}}, nil
}

// newScheduler prepares kube-scheduler, without leader election and without a
// port of its own.
func newScheduler(ctx context.Context, dir layout) (component, error) {
	opts := scheduleroptions.NewOptions()
	flags := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		flags.AddFlagSet(set)
	}
	err := flags.Parse([]string{
		"--kubeconfig=" + dir.run("scheduler"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--profiling=false",
	})
	if err != nil {
		return component{}, fmt.Errorf("kube-scheduler: %w", err)
	}
	config, sched, err := scheduler.Setup(ctx, opts)
	if err != nil {
		return component{}, fmt.Errorf("kube-scheduler: %w", err)
	}
	return component{name: "kube-scheduler", run: func(ctx context.Context) error {
		return scheduler.Run(ctx, config, sched)
	}}, nil
}

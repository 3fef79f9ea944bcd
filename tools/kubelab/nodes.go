// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/yaml"
)

// nodeLabel marks the nodes that kubelab made, with the value nodeLabelValue.
const (
	nodeLabel      = "kubelab.plumbline.dev/node"
	nodeLabelValue = "true"
)

// holder is the name that kwok holds the nodes' leases by. It is the same in every
// run: one by another name would leave the nodes alone until the leases of the
// run before have expired.
const holder = "kubelab"

// leaseSeconds and parallelism are kwok's own defaults, which only its command
// line applies.
const (
	leaseSeconds = 40
	parallelism  = 4
)

// newNodes prepares kwok's controller, which plays the kubelet of every node:
// it renews the node's lease and takes pods to Ready, to Completed when a Job
// owns them, and to their end when they are deleted.
func newNodes(dir layout, logFile *os.File) (component, error) {
	stages, err := parseStages(fast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete)
	if err != nil {
		return component{}, fmt.Errorf("kwok: %w", err)
	}
	config, err := kwokConfig(dir)
	if err != nil {
		return component{}, fmt.Errorf("kwok: %w", err)
	}
	config.LocalStages = stages
	controller, err := controllers.NewController(config)
	if err != nil {
		return component{}, fmt.Errorf("kwok: %w", err)
	}
	logger := log.NewLogger(logFile, slog.LevelError)
	return component{name: "kwok", run: func(ctx context.Context) error {
		if err := controller.Start(log.NewContext(ctx, logger)); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}}, nil
}

func kwokConfig(dir layout) (controllers.Config, error) {
	clients, err := client.NewClientset("", dir.run("nodes"))
	if err != nil {
		return controllers.Config{}, err
	}
	restConfig, err := clients.ToRESTConfig()
	if err != nil {
		return controllers.Config{}, err
	}
	restClient, err := rest.RESTClientFor(restConfig)
	if err != nil {
		return controllers.Config{}, err
	}
	typed, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return controllers.Config{}, err
	}
	dynamic, err := clients.ToDynamicClient()
	if err != nil {
		return controllers.Config{}, err
	}
	mapper, err := clients.ToRESTMapper()
	if err != nil {
		return controllers.Config{}, err
	}
	return controllers.Config{
		Clock:                      clock.RealClock{},
		ID:                         holder,
		RESTClient:                 restClient,
		TypedClient:                typed,
		DynamicClient:              dynamic,
		RESTMapper:                 mapper,
		ImpersonatingDynamicClient: clients.ToImpersonatingDynamicClient(),
		ImpersonatingTypedClient:   clients.ToImpersonatingTypedClient(),
		ManageAllNodes:             true,
		CIDR:                       podRange,
		NodeIP:                     "127.0.0.1",
		NodeLeaseDurationSeconds:   leaseSeconds,
		NodeLeaseParallelism:       parallelism,
		NodePlayStageParallelism:   parallelism,
		PodPlayStageParallelism:    parallelism,
		PodsOnNodeSyncParallelism:  parallelism,
	}, nil
}

func parseStages(texts ...string) (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range texts {
		var versioned v1alpha1.Stage
		if err := yaml.Unmarshal([]byte(text), &versioned); err != nil {
			return nil, fmt.Errorf("parse stage: %w", err)
		}
		stage, err := internalversion.ConvertToInternalStage(&versioned)
		if err != nil {
			return nil, fmt.Errorf("convert stage %s: %w", versioned.Name, err)
		}
		ref := stage.Spec.ResourceRef
		stages[ref] = append(stages[ref], stage)
	}
	return stages, nil
}

// ensureNodes makes the nodes node-0 ... node-(count-1) where they are missing
// and removes kubelab's nodes beyond them.
func ensureNodes(ctx context.Context, api kubernetes.Interface, count int) error {
	nodes := api.CoreV1().Nodes()
	wanted := map[string]bool{}
	for i := range count {
		name := "node-" + strconv.Itoa(i)
		wanted[name] = true
		_, err := nodes.Create(ctx, newNode(name), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	list, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: nodeLabel + "=" + nodeLabelValue})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range list.Items {
		if wanted[node.Name] {
			continue
		}
		if err := nodes.Delete(ctx, node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", node.Name, err)
		}
	}
	return nil
}

func newNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			nodeLabel:                nodeLabelValue,
			corev1.LabelHostname:     name,
			corev1.LabelOSStable:     "linux",
			corev1.LabelArchStable:   "amd64",
			corev1.LabelTopologyZone: "kubelab",
		},
	}}
}

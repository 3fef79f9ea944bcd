// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// probeInterval is how often a condition of the start is looked at again.
const probeInterval = 20 * time.Millisecond

// waitServing returns nil once the API server says that it is ready: its
// default roles and priority levels exist and its caches are filled.
func waitServing(ctx context.Context, api kubernetes.Interface) error {
	return waitUntil(ctx, "the API server", func(ctx context.Context) error {
		return api.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// waitUsable returns nil once a pod that is created in the namespace default
// is admitted, scheduled and run: its service account is there, and every one
// of count nodes is ready and bears no taint.
func waitUsable(ctx context.Context, api kubernetes.Interface, count int) error {
	err := waitUntil(ctx, "the default service account", func(ctx context.Context) error {
		_, err := api.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return waitUntil(ctx, "the nodes", func(ctx context.Context) error {
		list, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: nodeLabel + "=" + nodeLabelValue})
		if err != nil {
			return err
		}
		schedulable := 0
		for i := range list.Items {
			if isSchedulable(&list.Items[i]) {
				schedulable++
			}
		}
		if schedulable < count {
			return fmt.Errorf("%d of %d are ready", schedulable, count)
		}
		return nil
	})
}

func isSchedulable(node *corev1.Node) bool {
	if len(node.Spec.Taints) != 0 {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// waitUntil calls probe until it returns nil or ctx ends; then the error says
// what was waited for and what probe said last.
func waitUntil(ctx context.Context, what string, probe func(context.Context) error) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

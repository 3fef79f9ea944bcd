// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/test/rig"
)

var (
	menus = schema.GroupVersionResource{Group: "shop.example.com", Version: "v1", Resource: "menus"}

	customResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// file is a file of the application as it stands in the work tree.
func (s *story) file(name string) string {
	content, err := os.ReadFile(filepath.Join(s.shop.Work, path, name))
	if err != nil {
		return err.Error() // no YAML: the step that pushes it fails
	}
	return string(content)
}

// versions are the resourceVersions of the application's declared objects,
// those of their spec alone: a rollout's status may still move.
func (s *story) versions(ctx context.Context) (string, error) {
	var all []string
	for _, resource := range []schema.GroupVersionResource{rig.ConfigMaps, rig.KubeServices, menus} {
		list, err := s.rig.Kube.Dynamic.Resource(resource).Namespace("shop").List(ctx, metav1.ListOptions{LabelSelector: "plumbline.dev/application=" + web})
		if err != nil {
			return "", fmt.Errorf("list %s: %w", resource.Resource, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			all = append(all, o.GetKind()+"/"+o.GetName()+"@"+o.GetResourceVersion())
		}
	}
	deployment, err := s.rig.Kube.Get(ctx, rig.Deployments, "shop", "web")
	if err != nil || deployment == nil {
		return "", fmt.Errorf("get deployment web: %w", err)
	}
	all = append(all, fmt.Sprintf("Deployment/web@generation %d", deployment.GetGeneration()))
	slices.Sort(all)
	return strings.Join(all, " "), nil
}

// await reads moments until one is as wanted.
func (s *story) await(ctx context.Context, moments <-chan rig.Moment, want func(rig.Moment) bool) (rig.Moment, error) {
	timeout := time.NewTimer(s.patience)
	defer timeout.Stop()
	for {
		select {
		case m, ok := <-moments:
			if !ok {
				return m, fmt.Errorf("the watch ended")
			}
			if want(m) {
				return m, nil
			}
		case <-timeout.C:
			return rig.Moment{}, fmt.Errorf("waited %s", s.patience)
		case <-ctx.Done():
			return rig.Moment{}, ctx.Err()
		}
	}
}

func field(o *unstructured.Unstructured, path ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, path...) //nolint:errcheck // absent is empty
	return text
}

// traceID is the second part of a W3C traceparent.
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 2 {
		return "(none)"
	}
	return parts[1]
}

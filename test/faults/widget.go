// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/test/rig"
)

// installWidgets makes the kind of the workload's custom resources, which no
// application declares.
func (w *World) installWidgets(ctx context.Context) error {
	crd := Object{Kind: "CustomResourceDefinition", Name: "widgets." + widgetGroup, Fields: map[string]string{"spec.names.kind": "Widget"}}
	body := map[string]any{}
	if err := yaml.Unmarshal([]byte(crd.yaml()), &body); err != nil {
		return fmt.Errorf("install widgets: %w", err)
	}
	_, err := w.Kube.Dynamic.Resource(kinds[crd.Kind].resource).Create(ctx, &unstructured.Unstructured{Object: body}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("install widgets: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = rig.Until(ctx, func(ctx context.Context) (bool, error) {
		_, err := w.Kube.Dynamic.Resource(kinds["Widget"].resource).List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil, nil // until it is served
	})
	if err != nil {
		return fmt.Errorf("install widgets: %w", err)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var mutatingWebhooks = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}

// mutate has a webhook change every ConfigMap of the input's namespace, whoever
// writes it, by a JSON patch, until the test ends.
func (h *hand) mutate(ctx context.Context, t *testing.T, patch string) error {
	t.Helper()
	authority := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: mutator(patch), TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{issue(t, authority, "127.0.0.1", time.Hour)},
	}}
	go func() { _ = server.ServeTLS(l, "", "") }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	hook := map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": h.in.ID()},
		"webhooks": []any{map[string]any{
			"name": h.in.Name + ".example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Fail",
			"clientConfig":      map[string]any{"url": "https://" + l.Addr().String() + "/", "caBundle": authority.PEM},
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": h.in.ID()}},
			"rules":             []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"configmaps"}}},
		}},
	}
	data, err := json.Marshal(hook) // caBundle becomes base64
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return err
	}
	client := h.Kube.Dynamic.Resource(mutatingWebhooks)
	if _, err := client.Create(ctx, u, metav1.CreateOptions{}); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := client.Delete(context.Background(), h.in.ID(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return h.inForce(ctx)
}

// inForce waits until the webhook is asked, which is some moments after it is
// there.
func (h *hand) inForce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, _ := h.client("configmaps", "probe")
	for {
		probe := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "probe"}, "data": map[string]any{"a": "b"},
		}}
		got, err := client.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && got.GetAnnotations()["example.com/mutated"] != "" {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the webhook is never asked: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}

// mutator answers every review with a JSON patch, behind one that says so.
func mutator(patch string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		var object unstructured.Unstructured
		first := `{"op":"add","path":"/metadata/annotations","value":{"example.com/mutated":"yes"}}`
		if err := object.UnmarshalJSON(review.Request.Object.Raw); err == nil && len(object.GetAnnotations()) > 0 {
			first = `{"op":"add","path":"/metadata/annotations/example.com~1mutated","value":"yes"}`
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &kind, Patch: []byte("[" + first + "," + patch + "]"),
		}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review) // the API server may go
	})
}

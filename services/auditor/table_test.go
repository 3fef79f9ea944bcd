// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

const gadgetsName = "gadgets.lab.example"

const gadgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.lab.example}
spec:
  group: lab.example
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const gadget = `
apiVersion: lab.example/v1
kind: Gadget
metadata: {name: gadget}
size: 3
list: [a, b]
parts: [{name: wheel, count: 4}, {name: axle, count: 2}]
`

var gadgets = gvk("lab.example", "v1", "Gadget")

// foreign is one row of the design's table of what the metadata of an object
// shows of a foreign write.
type foreign struct {
	name   string
	kind   schema.GroupVersionKind
	object string
	write  func(r *rig)
	// What is said of it; empty kind: nothing.
	says   events.DivergenceKind
	fields []string
	// By whom; empty: not recorded.
	manager, operation, subresource string
}

func jsonPatch(kind schema.GroupVersionKind, name, patch string, sub ...string) func(*rig) {
	return func(r *rig) { r.t.Helper(); r.patch(kind, name, patch, sub...) }
}

// update is a read, a change and a PUT under a manager, as kubectl replace and
// most controllers do it.
func update(kind schema.GroupVersionKind, name, manager string, change func(map[string]any)) func(*rig) {
	return func(r *rig) {
		r.t.Helper()
		client := r.client(kind, "")
		bustest.Eventually(r.t, "the object is updated", func() bool {
			live, err := client.Get(r.t.Context(), name, metav1.GetOptions{})
			if err != nil {
				r.t.Fatal(err)
			}
			change(live.Object)
			_, err = client.Update(r.t.Context(), live, metav1.UpdateOptions{FieldManager: manager})
			if err != nil && !apierrors.IsConflict(err) {
				r.t.Fatal(err)
			}
			return err == nil
		})
	}
}

func set(value any, path ...string) func(map[string]any) {
	return func(o map[string]any) {
		if err := unstructured.SetNestedField(o, value, path...); err != nil {
			panic(err)
		}
	}
}

func remove(path ...string) func(map[string]any) {
	return func(o map[string]any) { unstructured.RemoveNestedField(o, path...) }
}

func containers(change func(map[string]any)) func(map[string]any) {
	return func(o map[string]any) {
		list, _, err := unstructured.NestedSlice(o, "spec", "template", "spec", "containers")
		if err != nil {
			panic(err)
		}
		change(list[0].(map[string]any))
		if err := unstructured.SetNestedSlice(o, list, "spec", "template", "spec", "containers"); err != nil {
			panic(err)
		}
	}
}

var rows = []foreign{
	{"scale subresource", deployments, deployment, func(r *rig) {
		scale := []byte(`{"spec":{"replicas":5}}`)
		if _, err := r.client(deployments, "").Patch(r.t.Context(), "web", "application/merge-patch+json", scale, metav1.PatchOptions{FieldManager: "kubectl"}, "scale"); err != nil {
			r.t.Fatal(err)
		}
	}, events.DivergenceChanged, []string{"/spec/replicas"}, "kubectl", "Update", "scale"},
	{
		"set image", deployments, deployment, update(deployments, "web", "kubectl-set", containers(set("registry.example/web:2", "image"))),
		events.DivergenceChanged,
		[]string{"/spec/template/spec/containers/0/image"},
		"kubectl-set", "Update", "",
	},
	{
		"label of ours changed", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/metadata/labels/tier","value":"back"}]`),
		events.DivergenceChanged,
		[]string{"/metadata/labels/tier"},
		"kubectl-edit", "Update", "",
	},
	{
		"annotation of ours changed", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/metadata/annotations/note","value":"theirs"}]`),
		events.DivergenceChanged,
		[]string{"/metadata/annotations/note"},
		"kubectl-edit", "Update", "",
	},
	{
		"env value replaced by JSON patch", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"dev"}]`),
		events.DivergenceChanged,
		[]string{"/spec/template/spec/containers/0/env/0/value"},
		"kubectl-edit", "Update", "",
	},
	{
		"atomic list item replaced by JSON patch", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/spec/template/spec/containers/0/args/1","value":"--c"}]`),
		events.DivergenceChanged,
		[]string{"/spec/template/spec/containers/0/args/1"},
		"kubectl-edit", "Update", "",
	},
	{"replace", deployments, deployment, update(deployments, "web", "kubectl-replace", func(o map[string]any) {
		set(int64(4), "spec", "replicas")(o)
		containers(set("registry.example/web:3", "image"))(o)
	}), events.DivergenceChanged, []string{"/spec/replicas", "/spec/template/spec/containers/0/image"}, "kubectl-replace", "Update", ""},
	{"forced server-side apply of another value", deployments, deployment, func(r *rig) {
		r.applyAs("argo", map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"}, "spec": map[string]any{"replicas": int64(7)}})
	}, events.DivergenceChanged, []string{"/spec/replicas"}, "argo", "Apply", ""},
	{
		"scalar in a schemaless CR", gadgets, gadget, jsonPatch(gadgets, "gadget", `[{"op":"replace","path":"/size","value":9}]`),
		events.DivergenceChanged,
		[]string{"/size"},
		"kubectl-edit", "Update", "",
	},
	{
		"list item in a schemaless CR", gadgets, gadget, jsonPatch(gadgets, "gadget", `[{"op":"replace","path":"/list/0","value":"z"}]`),
		events.DivergenceChanged,
		[]string{"/list/0"},
		"kubectl-edit", "Update", "",
	},
	{
		"list of maps in a schemaless CR", gadgets, gadget, jsonPatch(gadgets, "gadget", `[{"op":"replace","path":"/parts/1/count","value":8}]`),
		events.DivergenceChanged,
		[]string{"/parts/1/count"},
		"kubectl-edit", "Update", "",
	},
	{
		"removal of a label", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"remove","path":"/metadata/labels/tier"}]`),
		events.DivergenceRemoved,
		[]string{"/metadata/labels/tier"},
		"", "", "",
	},
	{
		"removal of a port", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"remove","path":"/spec/template/spec/containers/0/ports/1"}]`),
		events.DivergenceRemoved,
		[]string{"/spec/template/spec/containers/0/ports/1"},
		"", "", "",
	},
	{
		"removal of another field", gadgets, gadget, jsonPatch(gadgets, "gadget", `[{"op":"remove","path":"/size"}]`),
		events.DivergenceRemoved,
		[]string{"/size"},
		"", "", "",
	},
	{
		"our application's label taken", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/metadata/labels/plumbline.dev~1application","value":"other"}]`),
		events.DivergenceChanged,
		[]string{"/metadata/labels/plumbline.dev~1application"},
		"kubectl-edit", "Update", "",
	},
	{
		"our application's label removed", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"remove","path":"/metadata/labels/plumbline.dev~1application"}]`),
		events.DivergenceRemoved,
		[]string{"/metadata/labels/plumbline.dev~1application"},
		"", "", "",
	},
	{
		"our annotation removed", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"remove","path":"/metadata/annotations/plumbline.dev~1object"}]`),
		events.DivergenceRemoved,
		[]string{"/metadata/annotations/plumbline.dev~1object"},
		"", "", "",
	},
	{
		"managedFields wiped, values kept", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`),
		"", nil, "", "", "",
	},
	{"managedFields wiped, a value changed", deployments, deployment, func(r *rig) {
		r.patch(deployments, "web", `[{"op":"replace","path":"/spec/replicas","value":6},{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`)
	}, events.DivergenceChanged, []string{"/spec/replicas"}, "", "", ""},
	{"status write", deployments, deployment, func(r *rig) {
		r.patch(deployments, "web", `[{"op":"add","path":"/status/conditions","value":[{"type":"Odd","status":"True"}]}]`, "status")
	}, "", nil, "", "", ""},
	{
		"client-side apply of the same values", deployments, deployment, update(deployments, "web", "kubectl-client-side-apply", set("{}", "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")),
		"", nil, "", "", "",
	},
	{"server-side apply of the same values", deployments, deployment, func(r *rig) {
		r.applyAs("argo", map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"}, "spec": map[string]any{"replicas": int64(2)}})
	}, "", nil, "", "", ""},
	{"the same value written", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"replace","path":"/spec/replicas","value":2}]`), "", nil, "", "", ""},
	{"the same quantity written otherwise", deployments, deployment, update(deployments, "web", "kubectl-edit", containers(set("1000m", "resources", "limits", "cpu"))), "", nil, "", "", ""},
	{"an annotation that Git doesn't declare", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"add","path":"/metadata/annotations/theirs","value":"x"}]`), "", nil, "", "", ""},
	{"a label that Git doesn't declare", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"add","path":"/metadata/labels/theirs","value":"x"}]`), "", nil, "", "", ""},
	{"a sidecar", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"side","image":"side:1"}}]`), "", nil, "", "", ""},
	{"a restart annotation", deployments, deployment, jsonPatch(deployments, "web", `[{"op":"add","path":"/spec/template/metadata/annotations","value":{"kubectl.kubernetes.io/restartedAt":"now"}}]`), "", nil, "", "", ""},
	{"an extra field of a CR", gadgets, gadget, jsonPatch(gadgets, "gadget", `[{"op":"add","path":"/extra","value":1}]`), "", nil, "", "", ""},
	{"an HPA's field set to a default nobody declares", deployments, deployment, update(deployments, "web", "hpa", set(int64(30), "spec", "minReadySeconds")), "", nil, "", "", ""},
	{
		"a declared field removed that defaults to another", deployments, deployment, update(deployments, "web", "kubectl-edit", remove("spec", "replicas")),
		events.DivergenceChanged,
		[]string{"/spec/replicas"},
		"kubectl-edit", "Update", "",
	},
}

// TestForeignWrites tries every row of the table on a real API server.
func TestForeignWrites(t *testing.T) {
	r := newRig(t)
	crd := r.app("definitions")
	crd.converge(gadgetDefinition)
	r.established(gadgetsName)
	id, err := MintReadOnly(t.Context(), r.admin, t.TempDir(), Grant{})
	if err != nil {
		t.Fatal(err)
	}
	r.kubeconfig = id.Kubeconfig
	r.audit()
	// A kind that is read for the first time takes the API server a moment.
	warm := r.app("warm")
	warm.converge(gadget, deployment)
	r.patch(gadgets, "gadget", `[{"op":"replace","path":"/size","value":1}]`)
	warm.hears("detected Gadget/gadget changed")
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = fmt.Sprintf("table-%d", i)
	}
	r.lists(names...)
	var latencies []time.Duration
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			sub := *r
			sub.t = t
			a := sub.app(names[i])
			defer func() { r.fleet, r.fleets = sub.fleet, sub.fleets }() // the next list is another one
			a.declaration.Namespace = r.inNamespace(t)
			sub.namespace = a.declaration.Namespace
			a.rig = &sub
			a.converge(row.object)
			a.settles()
			start := time.Now()
			row.write(&sub)
			name := row.kind.Kind + "/" + map[string]string{"Deployment": "web", "Gadget": "gadget"}[row.kind.Kind]
			if row.says == "" {
				a.quiet("")
				return
			}
			all := a.hears("detected " + name + " " + string(row.says))
			latencies = append(latencies, all[0].StageEnd.Sub(start))
			t.Logf("detected after %s", all[0].StageEnd.Sub(start))
			d := divergenceOf(all[0])
			if got := paths(d); !slices.Equal(got, row.fields) || d.FieldCount != len(row.fields) {
				t.Errorf("fields %v, want %v", got, row.fields)
			}
			writer := events.Writer{}
			if d.Writer != nil {
				writer = *d.Writer
				// The scale subresource records no time.
				if age := time.Since(writer.Time); writer.Time.IsZero() != (row.subresource == "scale") || row.subresource == "" && (age < -time.Second || age > time.Minute) {
					t.Errorf("written at %s", writer.Time)
				}
			}
			if writer.Manager != row.manager || writer.Operation != row.operation || writer.Subresource != row.subresource {
				t.Errorf("writer %+v, want %s %s %s", writer, row.manager, row.operation, row.subresource)
			}
			if d.File != "deploy/all.yaml" || d.Line != 1 || d.Declared.Author != "Ada" || d.Message == "" {
				t.Errorf("%+v does not say where and since when it is declared", d)
			}
			t.Log(d.Message)
			a.writeAll() // the applier heals
			a.hears(story(all) + ", resolved " + name + " healed")
		})
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		t.Logf("from foreign write to detection: median %s, worst %s of %d", latencies[n/2], latencies[n-1], n)
		if latencies[n/2] > time.Second {
			t.Errorf("half of the detections took %s or more", latencies[n/2])
		}
	}
}

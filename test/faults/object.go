// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is an object as the workload declares it: a kind, a name and some
// fields. The workload knows what it declares, so nothing of Plumbline is
// needed to know what should be in the cluster.
type Object struct {
	Kind   string            `json:"kind"`
	Name   string            `json:"name"`
	Fields map[string]string `json:"fields"` // by the kind's own paths, as "data.k" or "spec.replicas"
	// Pad is how many bytes stand in field data.pad, which Fields lacks.
	Pad int `json:"pad,omitempty"`
}

// kind is how a kind is declared and read.
type kind struct {
	resource schema.GroupVersionResource
	yaml     func(o Object) string
	cluster  bool // cluster-scoped
	// whole is the field below which nothing may stand that Git doesn't
	// declare; empty: there is none.
	whole string
	// absent kinds are served only while an application declares their CRD.
	absent bool
	// protected kinds are deleted by an approval alone.
	protected bool
}

// kinds are all that the workload declares.
var kinds = map[string]kind{
	"ConfigMap":  {resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, yaml: configMapYAML, whole: "data."},
	"Secret":     {resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, yaml: secretYAML, whole: "data."},
	"Service":    {resource: schema.GroupVersionResource{Version: "v1", Resource: "services"}, yaml: serviceYAML},
	"Deployment": {resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, yaml: deploymentYAML},
	"Widget": {
		resource: schema.GroupVersionResource{Group: widgetGroup, Version: "v1", Resource: "widgets"}, yaml: widgetYAML, whole: "spec.",
	},
	"Gadget": {
		resource: schema.GroupVersionResource{Group: widgetGroup, Version: "v1", Resource: "gadgets"}, yaml: gadgetYAML, whole: "spec.", absent: true,
	},
	"CustomResourceDefinition": {
		resource: schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		yaml:     crdYAML, cluster: true, protected: true,
	},
}

// widgetGroup is the API group of the workload's custom resources. The rig
// lets the auditor read it.
const widgetGroup = "shop.example.com"

// key is group/kind/namespace/name, as Plumbline's events have it.
func (o Object) key(namespace string) string {
	k := kinds[o.Kind]
	if k.cluster {
		namespace = ""
	}
	return k.resource.Group + "/" + o.Kind + "/" + namespace + "/" + o.Name
}

func (o Object) yaml() string { return kinds[o.Kind].yaml(o) }

func (o Object) copy() Object {
	o.Fields = maps.Clone(o.Fields)
	return o
}

func header(apiVersion, kind, name string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s}\n", apiVersion, kind, name)
}

// below writes the fields below a path as a YAML map with that indent.
func (o Object) below(prefix, indent string) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(o.Fields)) {
		if name, ok := strings.CutPrefix(path, prefix); ok {
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, strconv.Quote(o.Fields[path]))
		}
	}
	return b.String()
}

func configMapYAML(o Object) string {
	text := header("v1", "ConfigMap", o.Name) + "data:\n" + o.below("data.", "  ")
	if o.Pad > 0 {
		text += "  pad: " + strings.Repeat("x", o.Pad) + "\n"
	}
	if o.Fields["immutable"] == "true" {
		text += "immutable: true\n"
	}
	return text
}

func secretYAML(o Object) string {
	return header("v1", "Secret", o.Name) + "stringData:\n" + o.below("data.", "  ")
}

func serviceYAML(o Object) string {
	return header("v1", "Service", o.Name) + fmt.Sprintf("spec:\n  selector: {app: %s}\n  ports: [{name: http, port: %s}]\n", o.Name, o.Fields["spec.ports.0.port"])
}

func deploymentYAML(o Object) string {
	return header("apps/v1", "Deployment", o.Name) + fmt.Sprintf(`spec:
  replicas: %[2]s
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: main, image: %[3]q}]
`, o.Name, o.Fields["spec.replicas"], o.Fields["spec.template.spec.containers.0.image"])
}

func widgetYAML(o Object) string { return customYAML("Widget", o) }
func gadgetYAML(o Object) string { return customYAML("Gadget", o) }

func customYAML(kind string, o Object) string {
	return header(widgetGroup+"/v1", kind, o.Name) + "spec:\n" + o.below("spec.", "  ")
}

func crdYAML(o Object) string {
	plural, _, _ := strings.Cut(o.Name, ".")
	return header("apiextensions.k8s.io/v1", "CustomResourceDefinition", o.Name) + fmt.Sprintf(`spec:
  group: %s
  scope: Namespaced
  names: {plural: %s, singular: %s, kind: %s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, widgetGroup, plural, strings.TrimSuffix(plural, "s"), o.Fields["spec.names.kind"])
}

// read flattens what of a live object the workload may declare: every leaf by
// its path, a Secret's values decoded.
func read(u *unstructured.Unstructured) map[string]string {
	fields := map[string]string{}
	for _, top := range []string{"data", "spec", "immutable"} {
		if v, ok := u.Object[top]; ok {
			flatten(fields, top, v)
		}
	}
	if u.GetKind() == "Secret" {
		for path, v := range fields {
			if plain, err := base64.StdEncoding.DecodeString(v); err == nil {
				fields[path] = string(plain)
			}
		}
	}
	return fields
}

func flatten(into map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			flatten(into, path+"."+k, inner)
		}
	case []any:
		for i, inner := range v {
			flatten(into, path+"."+strconv.Itoa(i), inner)
		}
	default:
		text := fmt.Sprint(v)
		if len(text) > longField {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		into[path] = text
	}
}

// longField is how long a value may be to stand in a history.
const longField = 256

// differs says how a live object differs from what is declared, or "".
func (o Object) differs(live map[string]string) string {
	for path, want := range o.Fields {
		if got := live[path]; got != want {
			return fmt.Sprintf("%s is %q, Git says %q", path, got, want)
		}
	}
	whole := kinds[o.Kind].whole
	for path, got := range live {
		_, declared := o.Fields[path]
		if declared || whole == "" || !strings.HasPrefix(path, whole) || path == "data.pad" && o.Pad > 0 {
			continue
		}
		// A hand that wrote a field which Git then gave up keeps it.
		if !strings.HasPrefix(got, handValue) {
			return fmt.Sprintf("%s is %q, and Git doesn't declare it", path, got)
		}
	}
	if o.Pad > 0 && live["data.pad"] != fmt.Sprintf("%d bytes", o.Pad) {
		return "data.pad is not as Git has it"
	}
	return ""
}

// handValue begins every value that the workload's hand writes.
const handValue = "hand-"

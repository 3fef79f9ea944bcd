// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const deployed = `{"f:metadata":{"f:finalizers":{"v:\"a\"":{}}},"f:spec":{"f:replicas":{},"f:args":{},"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}`

// Putting every difference right leaves none, and touches nothing that Git
// does not declare.
func TestTargetHasNoDifference(t *testing.T) {
	for name, c := range map[string]struct{ declared, live, want string }{
		"a scalar":           {"spec: {replicas: 2}", "spec: {replicas: 5, other: x}", "spec: {replicas: 2, other: x}"},
		"an item elsewhere":  {"spec: {containers: [{name: web, image: a}]}", "spec: {containers: [{name: side}, {name: web, image: b, tty: true}]}", "spec: {containers: [{name: side}, {name: web, image: a, tty: true}]}"},
		"an item gone":       {"spec: {containers: [{name: web, image: a}]}", "spec: {containers: [{name: side}]}", "spec: {containers: [{name: side}, {name: web, image: a}]}"},
		"inside an item":     {"spec: {containers: [{name: web, ports: [{containerPort: 80, name: http}]}]}", "spec: {containers: [{name: side}, {name: web, ports: [{containerPort: 81}, {containerPort: 80, protocol: TCP, name: x}]}]}", "spec: {containers: [{name: side}, {name: web, ports: [{containerPort: 81}, {containerPort: 80, protocol: TCP, name: http}]}]}"},
		"a member gone":      {"metadata: {finalizers: [a]}", "metadata: {finalizers: [b]}", "metadata: {finalizers: [b, a]}"},
		"an atomic list":     {"spec: {args: [a, b]}", "spec: {args: [a, c]}", "spec: {args: [a, b]}"},
		"the whole of it":    {"spec: {a: {b: 1}}", "kind: X", "{kind: X, spec: {a: {b: 1}}}"},
		"a mapping replaced": {"spec: {a: {b: 1}}", "spec: {a: 1}", "spec: {a: {b: 1}}"},
		"a name with /":      {"metadata: {labels: {a/b: x}}", "metadata: {labels: {a/b: y}}", "metadata: {labels: {a/b: x}}"},
	} {
		t.Run(name, func(t *testing.T) {
			with := Comparing{Owners: OwnersOf([]metav1.ManagedFieldsEntry{entry("plumbline", "Apply", deployed)})}
			declared, live := parse(t, c.declared), parse(t, c.live)
			found := Bodies(declared, live, with)
			if len(found.Differences) == 0 {
				t.Fatal("no difference to begin with")
			}
			got := Target(declared, live, found.Differences)
			if want := parse(t, c.want); !reflect.DeepEqual(got, want) {
				t.Errorf("target %v, want %v", got, want)
			}
			if left := Bodies(declared, got, with); len(left.Differences) > 0 {
				t.Errorf("it still differs: %+v", left.Differences)
			}
			if !reflect.DeepEqual(live, parse(t, c.live)) {
				t.Error("the live body was changed")
			}
		})
	}
}

func TestLocate(t *testing.T) {
	scale := metav1.ManagedFieldsEntry{Manager: "kubectl", Operation: "Update", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{},"f:containers":{"k:{\"name\":\"side\"}":{".":{},"f:name":{},"f:image":{}}}}}`)}
	owners := OwnersOf([]metav1.ManagedFieldsEntry{entry("plumbline", "Apply", deployed), scale})
	declared := parse(t, "spec: {replicas: 2, args: [a], containers: [{name: web, image: a, ports: [{containerPort: 80}]}]}")
	live := parse(t, "spec: {replicas: 2, args: [a], containers: [{name: side, image: s}, {name: web, image: b, ports: [{containerPort: 80, protocol: TCP}]}]}")
	for _, c := range []struct{ pointer, place, managers string }{
		{"/spec/replicas", "spec replicas", "plumbline kubectl"},
		{"/spec/containers/0/image", "spec containers 1 image", "plumbline"},
		{"/spec/containers/0/ports/0/containerPort", "spec containers 1 ports 0 containerPort", "plumbline"},
		{"/spec/containers/1/image", "spec containers 1 image", "plumbline"},
		{"/spec/containers/7/image", "spec containers - image", ""},
		{"/spec/args/0", "spec args 0", "plumbline"},
		{"/spec/nothing", "spec nothing", ""},
		{"/spec", "spec", "plumbline kubectl"},
	} {
		at := owners.Locate(declared, live, Tokens(c.pointer))
		var managers []string
		for _, w := range owners.Of(at) {
			managers = append(managers, w.Manager)
		}
		if strings.Join(at.Tokens, " ") != c.place || strings.Join(managers, " ") != c.managers {
			t.Errorf("%s: at %v by %v, want %q by %q", c.pointer, at.Tokens, managers, c.place, c.managers)
		}
	}
}

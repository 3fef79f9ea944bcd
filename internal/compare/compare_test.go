// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

var web = events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var body map[string]any
	if err := yaml.Unmarshal([]byte(text), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func entry(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestCompare(t *testing.T) {
	pod := `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},"f:resources":{"f:limits":{"f:cpu":{}}}}}}}`
	for name, c := range map[string]struct {
		declared, live string
		ours           string // our entry; empty: none
		theirs         string
		intact         bool
		want           []string
	}{
		"same": {"spec: {a: 1}", "spec: {a: 1, b: 2}", "", "", false, nil},
		"items in another order, with more": {
			"spec: {containers: [{name: web, env: [{name: A, value: x}], ports: [{containerPort: 80}], resources: {limits: {cpu: 1000m}}}]}",
			"spec: {containers: [{name: side}, {name: web, tty: false, env: [{name: B, value: z}, {name: A, value: x}], ports: [{containerPort: 80, protocol: TCP}], resources: {limits: {cpu: '1'}}}]}",
			pod, "", false, nil,
		},
		"an item's value": {
			"spec: {containers: [{name: web, env: [{name: A, value: x}]}]}",
			"spec: {containers: [{name: web, env: [{name: A, value: y}]}]}",
			pod, "", false,
			[]string{"/spec/containers/0/env/0/value=ours"},
		},
		"ports that differ by protocol": {
			"ports: [{port: 53}, {port: 53, protocol: UDP}]", "ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]",
			`{"f:ports":{"k:{\"port\":53,\"protocol\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":53,\"protocol\":\"UDP\"}":{".":{},"f:port":{},"f:protocol":{}}}}`, "", false, nil,
		},
		"a port gone": {
			"ports: [{port: 53}, {port: 53, protocol: UDP}]", "ports: [{port: 53, protocol: UDP}]",
			`{"f:ports":{"k:{\"port\":53,\"protocol\":\"UDP\"}":{".":{},"f:port":{}}}}`, "", false,
			[]string{"/ports/0=absent"},
		},
		"quantities":                {"resources: {limits: {cpu: 0.5, memory: 1Gi, other: 1000m}}", "resources: {limits: {cpu: 500m, memory: 1024Mi, other: 2}}", "", "", false, []string{"/resources/limits/other=changed"}},
		"no quantity":               {"data: {cpu: 1000m}", "data: {cpu: '1'}", "", "", false, []string{"/data/cpu=changed"}},
		"numbers":                   {"spec: {a: 1, b: 1.0}", "spec: {a: 1.0, b: 1}", "", "", false, nil},
		"a number is no text":       {"spec: {a: '80'}", "spec: {a: 80}", "", "", false, []string{"/spec/a=changed"}},
		"zero values left out":      {"spec: {a: '', b: false, c: 0, d: {}, e: [], f: {g: {}}}", "spec: {}", "", "", false, nil},
		"nulls declare nothing":     {"spec: {a: null}", "spec: {a: 5}", "", "", false, nil},
		"an empty list, filled in":  {"rules: []", "rules: [{verbs: [get]}]", `{"f:rules":{}}`, "", false, nil},
		"status is not declared":    {"status: {a: 1}", "status: {a: 2}", "", "", false, nil},
		"a scalar became a mapping": {"spec: {a: 1}", "spec: {a: {b: 1}}", "", "", false, []string{"/spec/a=changed"}},
		"a mapping became a scalar": {"spec: {a: {b: 1}}", "spec: {a: 1}", "", "", false, []string{"/spec/a=changed"}},
		"names with ~ and /":        {"metadata: {labels: {a/b~c: x}}", "metadata: {labels: {}}", "", "", false, []string{"/metadata/labels/a~1b~0c=absent"}},
		"uid and the like":          {"metadata: {name: a, uid: x, resourceVersion: '1'}", "metadata: {name: b, uid: y, resourceVersion: '2'}", "", "", false, nil},
		"a set": {
			"metadata: {finalizers: [a, b]}", "metadata: {finalizers: [c, a]}",
			`{"f:metadata":{"f:finalizers":{"v:\"a\"":{}}}}`, "", false,
			[]string{"/metadata/finalizers/1=absent"},
		},
		"an atomic list got longer": {"spec: {args: [a]}", "spec: {args: [a, b]}", "", `{"f:spec":{"f:args":{}}}`, false, []string{"/spec/args=changed"}},
		"an atomic list's defaults": {
			"spec: {sources: [{token: {path: x}}]}", "spec: {sources: [{token: {path: x, expirationSeconds: 3600}}]}",
			`{"f:spec":{"f:sources":{}}}`, "", false, nil,
		},
		"an atomic mapping was added to": {
			"spec: {selector: {app: a}}", "spec: {selector: {app: a, more: b}}",
			`{"f:spec":{"f:type":{}}}`, `{"f:spec":{"f:selector":{}}}`, false,
			[]string{"/spec/selector=changed"},
		},
		"an atomic mapping's defaults": {
			"spec: {fieldRef: {fieldPath: a}}", "spec: {fieldRef: {fieldPath: a, apiVersion: v1}}",
			`{"f:spec":{"f:fieldRef":{}}}`, "", false, nil,
		},
		"a granular mapping was added to": {
			"spec: {selector: {app: a}}", "spec: {selector: {app: a, more: b}}",
			`{"f:spec":{"f:selector":{"f:app":{}}}}`, `{"f:spec":{"f:selector":{"f:more":{}}}}`, false, nil,
		},
		"a webhook took it as we applied": {
			"spec: {image: a, other: x}", "spec: {image: mirror/a, other: y}",
			`{"f:spec":{"f:other":{}}}`, `{"f:spec":{"f:image":{}}}`, true,
			[]string{"/spec/other=ours"},
		},
		"all items of ours are gone": {
			"spec: {env: [{name: A, value: x}]}", "spec: {env: [{name: B, value: x}]}",
			`{"f:spec":{"f:type":{}}}`, "", false,
			[]string{"/spec/env/0=absent"},
		},
		"the last field of a mapping": {
			"data: {k: v}", "data: {k: w}", `{"f:data":{}}`, `{"f:data":{"f:k":{}}}`, false, []string{"/data/k=changed"},
		},
		"the whole of it is gone": {"spec: {a: {b: {c: 1}}}", "kind: X", "", "", false, []string{"/spec=absent"}},
	} {
		var entries []metav1.ManagedFieldsEntry
		if c.ours != "" {
			entries = append(entries, entry("plumbline", "Apply", c.ours))
		}
		if c.theirs != "" {
			entries = append(entries, entry("them", "Update", c.theirs))
		}
		got := Bodies(parse(t, c.declared), parse(t, c.live), Comparing{Owners: OwnersOf(entries), Intact: c.intact})
		var said []string
		for _, d := range got.Differences {
			how := "changed"
			switch {
			case d.Absent:
				how = "absent"
			case d.Ours:
				how = "ours"
			}
			said = append(said, d.Path+"="+how)
		}
		if !slices.Equal(said, c.want) {
			t.Errorf("%s: %v, want %v", name, said, c.want)
		}
	}
}

func TestUnownedFieldsAreKnown(t *testing.T) {
	declared, live := parse(t, "spec: {a: 1, b: 2}"), parse(t, "spec: {a: 1, b: 2}")
	for _, c := range []struct {
		ours string
		want []string
	}{
		{`{"f:spec":{"f:a":{},"f:b":{}}}`, nil},
		{`{"f:spec":{"f:a":{}}}`, []string{"/spec/b"}},
		{"", []string{""}},
	} {
		var entries []metav1.ManagedFieldsEntry
		if c.ours != "" {
			entries = append(entries, entry("plumbline", "Apply", c.ours))
		}
		got := Bodies(declared, live, Comparing{Owners: OwnersOf(entries)})
		if !slices.Equal(got.Unowned, c.want) {
			t.Errorf("%s: unowned %v, want %v", c.ours, got.Unowned, c.want)
		}
		rules := []events.IgnoreRule{{Kind: "Deployment", Path: "/spec/b"}}
		if got.Whole(rules, web) != (c.ours != "") || got.Whole(nil, web) != (len(c.want) == 0) {
			t.Errorf("%s: whole %v with the rule, %v without", c.ours, got.Whole(rules, web), got.Whole(nil, web))
		}
	}
}

func TestValuesAreCut(t *testing.T) {
	for _, long := range []string{strings.Repeat("x", 1000), strings.Repeat("ü", 1000), strings.Repeat("\x00", 1000), strings.Repeat(`"`, 1000)} {
		got := Bodies(map[string]any{"spec": map[string]any{"a": long}}, map[string]any{"spec": map[string]any{"a": long + "y"}}, Comparing{})
		for _, text := range []string{got.Differences[0].Desired, got.Differences[0].Live} {
			if len(text) > maxValue || len(text) < maxValue-4 || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %q", len(text), text)
			}
		}
	}
}

func TestIgnored(t *testing.T) {
	for _, c := range []struct {
		rule events.IgnoreRule
		path string
		want bool
	}{
		{events.IgnoreRule{Kind: "Deployment", Path: "/spec/replicas"}, "/spec/replicas", true},
		{events.IgnoreRule{Kind: "Deployment", Path: "/spec"}, "/spec/replicas", true},
		{events.IgnoreRule{Kind: "Deployment", Path: "/spec/replica"}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "Deployment", Path: "/spec/replicas/x"}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "StatefulSet", Path: "/spec"}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "Deployment", Group: "apps", Name: "web", Path: "/spec"}, "/spec/replicas", true},
		{events.IgnoreRule{Kind: "Deployment", Group: "extensions", Path: "/spec"}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "Deployment", Name: "other", Path: "/spec"}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "Deployment", Path: ""}, "/spec/replicas", false},
		{events.IgnoreRule{Kind: "Deployment", Path: "/metadata/annotations/a~1b"}, "/metadata/annotations/a~1b", true},
	} {
		if got := Ignored([]events.IgnoreRule{c.rule}, web, c.path); got != c.want {
			t.Errorf("%+v on %s: %v", c.rule, c.path, got)
		}
	}
}

func TestSealedValues(t *testing.T) {
	key, err := seal.NewDigestKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	_, recipient, err := seal.EnsureIdentity(t.TempDir() + "/age.key")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := seal.SealSecret(parse(t, "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: one}, data: {b: dHdv}}"), recipient, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		live string
		key  seal.DigestKey
		want string
	}{
		{"{data: {a: b25l, b: dHdv, c: eA==}}", key, ""},
		{"{data: {a: eA==, b: dHdv}}", key, "/data/a"},
		{"{data: {a: eA==, b: dHdv}}", seal.DigestKey{}, ""},
		{"{data: {b: dHdv}}", seal.DigestKey{}, "/data/a"},
		{"{data: {a: '***', b: dHdv}}", key, "/data/a"},
		{"{}", key, "/data/a /data/b"},
	} {
		got := Bodies(declared, parse(t, c.live), Comparing{Secret: c.key})
		var said []string
		for _, d := range got.Differences {
			said = append(said, d.Path)
			if !d.Redacted || d.Desired+d.Live != "" {
				t.Errorf("%s tells %+v", c.live, d)
			}
		}
		if strings.Join(said, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.live, said, c.want)
		}
	}
}

// A path that looks like a pattern means the field that is named so.
func TestAdvisoryC7APathIsNoPattern(t *testing.T) {
	for _, path := range []string{"/spec/*", "/spec/re.*", "/spec/replicas|/spec/image", "/spec/[a-z]+", "/**", "/spec/replica", "/spec/~0"} {
		if Ignored([]events.IgnoreRule{{Kind: "Deployment", Path: path}}, web, "/spec/replicas") {
			t.Errorf("%q takes /spec/replicas out", path)
		}
	}
}

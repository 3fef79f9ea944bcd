// SPDX-License-Identifier: Apache-2.0

package explain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/explain"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		".spec.replicas":                                 "spec|replicas",
		"spec.replicas":                                  "spec|replicas",
		"/spec/replicas":                                 "spec|replicas",
		"/metadata/labels/a~1b~0c":                       "metadata|labels|a/b~c",
		".spec.containers[0].image":                      "spec|containers|0|image",
		".spec.containers[name=web].image":               "spec|containers|[name=web]|image",
		".metadata.labels['app.kubernetes.io/name']":     "metadata|labels|app.kubernetes.io/name",
		`.metadata.labels["a.b"].c`:                      "metadata|labels|a.b|c",
		`.metadata.annotations.app\.kubernetes\.io/name`: "metadata|annotations|app.kubernetes.io/name",
		"[0]":               "0",
		"":                  "!",
		".":                 "!",
		"spec..replicas":    "!",
		"spec.":             "!",
		"spec[]":            "!",
		"spec[0":            "!",
		"spec['a":           "!",
		"spec[0]replicas":   "!",
		"spec['a']replicas": "!",
	} {
		got, err := explain.ParsePath(text)
		said := strings.Join(got, "|")
		if err != nil {
			said = "!"
		}
		if said != want {
			t.Errorf("%q: %q (%v), want %q", text, said, err, want)
		}
	}
}

// FuzzParsePath: a path is tokens or an error, and what Locate makes of the
// tokens as a JSON pointer is read as the same.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{".spec.replicas", "/a/b", "a[0]['b'].c", `a\.b`, "[", "a[']"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := explain.ParsePath(text)
		if err == nil && len(tokens) == 0 {
			t.Errorf("%q: nothing, and no error", text)
		}
		if err != nil {
			return
		}
		pointer := ""
		for _, token := range tokens {
			pointer += "/" + compare.Escape(token)
		}
		again, err := explain.ParsePath(pointer)
		if err != nil || !slices.Equal(again, tokens) {
			t.Errorf("%q is %q, and as a pointer %q: %q, %v", text, tokens, pointer, again, err)
		}
	})
}

func TestFindKinds(t *testing.T) {
	known := []explain.Kind{
		{"apps", "Deployment"},
		{"", "Service"},
		{"serving.example.com", "Service"},
		{"networking.k8s.io", "NetworkPolicy"},
		{"networking.k8s.io", "Ingress"},
		{"", "Endpoints"},
		{"", "ConfigMap"},
		{"apps", "Deployment"},
	}
	for named, want := range map[string]string{
		"deploy": "Deployment.apps", "deployment": "Deployment.apps", "deployments": "Deployment.apps", "Deployment": "Deployment.apps",
		"deployments.apps": "Deployment.apps", "deployment.v1.apps": "Deployment.apps", "deployment.v1.batch": "", "deploy.extensions": "",
		"svc": "Service", "service": "Service Service.serving.example.com", "services.serving.example.com": "Service.serving.example.com",
		"services.v1.": "Service", "netpol": "NetworkPolicy.networking.k8s.io", "networkpolicies": "NetworkPolicy.networking.k8s.io",
		"ingresses": "Ingress.networking.k8s.io", "ep": "Endpoints", "endpoints": "Endpoints", "cm": "ConfigMap", "pod": "",
	} {
		var said []string
		for _, k := range explain.FindKinds(named, known) {
			said = append(said, k.String())
		}
		if got := strings.Join(said, " "); got != want {
			t.Errorf("%s: %q, want %q", named, got, want)
		}
	}
}

var (
	begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	web   = events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	role  = events.Object{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Name: "reader"}
)

// log writes the events of one application.
type log struct {
	explain.Application
	n uint64
}

func newLog(application string) *log {
	return &log{Application: explain.Application{Address: events.Address{Cluster: "local", Application: application}}}
}

func (l *log) add(sequence uint64, key string, p events.Payload) *log {
	l.n++
	at := l.Address
	at.Key = key
	l.Add(events.Event{
		Type: events.TypeOf(p), Address: at, Data: p, Stored: l.n, Sequence: sequence, Epoch: "e", Time: begin.Add(time.Duration(l.n) * time.Minute),
	})
	return l
}

func (l *log) observed(sequence uint64, commit string) *log {
	return l.add(sequence, "", &events.CommitObserved{Revision: events.Revision{Commit: commit, Title: "change " + commit}})
}

func (l *log) rendered(sequence uint64, commit, digest, since string) *log {
	named, scoped := web, role
	named.Namespace = ""
	return l.add(sequence, "", &events.ManifestsRendered{Manifests: events.Manifests{
		Revision:    events.Revision{Commit: commit, Title: "change " + commit, Ref: "refs/heads/main", Author: events.Person{Name: "Ada"}},
		Declaration: events.Declaration{Namespace: "shop", Converge: events.Convergence{Mode: events.ModeAuto}, Audit: events.Audit{Heal: true}},
		Objects: events.DeclaredObjects{Count: 2, Items: []events.DeclaredObject{
			{Object: named, Digest: digest, File: "web.yaml", Line: 3, Since: events.Change{Commit: since, Author: "Ada"}},
			{Object: scoped, Digest: "r", File: "role.yaml", Line: 1, Since: events.Change{Commit: "a", Author: "Ada"}},
		}},
	}})
}

func (l *log) applied(commit, cause string, action events.Action, digest string) *log {
	return l.add(0, "", &events.ConvergenceApplied{
		Converging: events.Converging{Revision: events.Revision{Commit: commit}, Cause: cause},
		Objects:    events.AppliedObjects{Items: []events.AppliedObject{{Object: web, Action: action, Digest: digest, Fields: "f" + digest}}},
	})
}

func (l *log) diverged(key string) *log {
	o := web
	return l.add(0, key, &events.DivergenceDetected{Divergence: events.Divergence{
		Key: key, Object: &o, Kind: events.DivergenceChanged, Fields: []events.FieldDifference{{Path: "/spec/replicas", Desired: "2", Live: "5"}},
		Writer: &events.Writer{Manager: "kubectl"},
	}})
}

func (l *log) resolved(key string) *log {
	o := web
	return l.add(0, key, &events.DivergenceResolved{Divergence: events.Divergence{Key: key, Object: &o}, How: "healed"})
}

func TestDeclarations(t *testing.T) {
	l := newLog("shop-web").observed(1, "a").rendered(1, "a", "d1", "a").applied("a", "revision", events.ActionCreated, "d1").
		observed(5, "b").rendered(5, "b", "d2", "b").applied("b", "revision", events.ActionConfigured, "d2").
		observed(9, "c").rendered(9, "c", "d2", "b").applied("c", "heal", events.ActionUnchanged, "d2")
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		l.diverged(key).resolved(key)
	}
	l.diverged("8")
	all := explain.Declarations(web, []*explain.Application{newLog("other").observed(1, "a").rendered(1, "x", "z", "x").observed(2, "y").add(0, "", &events.ApplicationWithdrawn{}).app(), l.app()})
	if len(all) != 1 {
		t.Fatalf("%d declarations, want the one that was not withdrawn", len(all))
	}
	d := all[0]
	if d.File != "web.yaml" || d.Line != 3 || d.Revision.Commit != "c" || d.Changed.Commit != "b" || d.Changed.Title != "change b" || d.Object.Namespace != "shop" {
		t.Errorf("%+v", d)
	}
	if a := d.Applied; a == nil || a.Commit != "b" || a.Action != events.ActionConfigured || a.Digest != "d2" || a.Seen.IsZero() {
		t.Errorf("applied %+v", d.Applied)
	}
	if len(d.Divergences) != 1 || len(d.Healed) != 5 || d.Healed[0].Key != "7" || d.Healed[0].How != "healed" {
		t.Errorf("%d open, %d over, first %+v", len(d.Divergences), len(d.Healed), d.Healed[0])
	}
	if got := explain.Declarations(role, []*explain.Application{l.app()}); len(got) != 1 || got[0].Object.Namespace != "" {
		t.Errorf("a cluster-scoped object: %+v", got)
	}
	if l.Learnt(web.Key(), "d2") != "fd2" || l.Learnt(web.Key(), "d3") != "" {
		t.Error("what the applier learnt is not known by digest")
	}
}

func (l *log) app() *explain.Application { return &l.Application }

func TestOwned(t *testing.T) {
	l := newLog("shop-web").applied("a", "revision", events.ActionCreated, "d1")
	if _, ok := l.Owned()[web.Key()]; !ok {
		t.Error("an object that was applied is not owned")
	}
	l.applied("b", "revision", events.ActionHeld, "")
	if _, ok := l.Owned()[web.Key()]; !ok {
		t.Error("a held object is not owned")
	}
	l.applied("b", "approval", events.ActionPruned, "")
	if len(l.Owned()) != 0 {
		t.Error("a pruned object is owned")
	}
}

func TestFieldOf(t *testing.T) {
	l := newLog("shop-web").observed(1, "a").rendered(1, "a", "d1", "a").diverged("1")
	d := explain.Declarations(web, []*explain.Application{l.app()})[0]
	d.Ignore = []events.IgnoreRule{{Kind: "Deployment", Path: "/spec/paused"}}
	body := map[string]any{"spec": map[string]any{"replicas": int64(2), "paused": true}}
	f := explain.FieldOf([]string{"spec", "replicas"}, body, &d)
	if !f.Declared || f.Git != int64(2) || f.Ignored || len(f.Differs) != 1 || f.Writer.Manager != "kubectl" {
		t.Errorf("%+v", f)
	}
	if f := explain.FieldOf([]string{"spec", "paused"}, body, &d); !f.Ignored || len(f.Differs) != 0 {
		t.Errorf("%+v", f)
	}
	if f := explain.FieldOf([]string{"spec", "other"}, body, &d); f.Declared || f.Git != nil {
		t.Errorf("%+v", f)
	}
	live := map[string]any{"spec": map[string]any{"replicas": int64(5)}}
	owners := compare.OwnersOf([]metav1.ManagedFieldsEntry{{Manager: "kubectl-scale", Operation: "Update", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)}})
	f.Look(body, live, compare.Comparing{Owners: owners})
	if !f.Live.Present || f.Live.Value != int64(5) || !f.Live.Differs || len(f.Live.Managers) != 1 || f.Live.Managers[0].Manager != "kubectl-scale" {
		t.Errorf("%+v", f.Live)
	}
}

// Nothing that a Secret holds gets into an answer, wherever it stands.
func TestFieldsOfSecrets(t *testing.T) {
	secret := func(value string) map[string]any {
		return map[string]any{
			"apiVersion": "v1", "kind": "Secret", "data": map[string]any{"password": value},
			"metadata": map[string]any{"labels": map[string]any{"app": "shop"}, "annotations": map[string]any{"last": `{"password":"` + value + `"}`}},
		}
	}
	for _, path := range []string{"data", "data|password", "metadata", "metadata|annotations", "metadata|annotations|last", "stringData|password", "data|none"} {
		tokens := strings.Split(path, "|")
		declared := secret("sealed")
		delete(declared["metadata"].(map[string]any), "annotations")
		f := explain.FieldOf(tokens, declared, nil)
		f.Look(declared, secret("sesame"), compare.Comparing{})
		if f.Live.Value != nil || tokens[0] == "data" && f.Git != nil {
			t.Errorf("%s tells %v, %v", path, f.Git, f.Live.Value)
		}
	}
	f := explain.FieldOf([]string{"metadata", "labels", "app"}, secret("sealed"), nil)
	f.Look(secret("sealed"), secret("sesame"), compare.Comparing{})
	if f.Live.Value != "shop" || f.Git != "shop" {
		t.Errorf("a label that Git declares: %v, %v", f.Git, f.Live.Value)
	}
}

func TestSelect(t *testing.T) {
	body := map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "side"}, map[string]any{"name": "web", "port": int64(80)}}}}
	for _, c := range []struct {
		path   string
		bodies []map[string]any
		want   string
	}{
		{"spec.containers[name=web].image", []map[string]any{body}, "spec|containers|1|image"},
		{"spec.containers[port=80].image", []map[string]any{nil, body}, "spec|containers|1|image"},
		{"spec.containers[name=x].image", []map[string]any{body}, "!"},
		{"spec.containers[name=web].image", nil, "!"},
		{"spec.replicas", nil, "spec|replicas"},
	} {
		tokens, err := explain.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := explain.Select(tokens, c.bodies...)
		said := strings.Join(got, "|")
		if !ok {
			said = "!"
		}
		if said != c.want {
			t.Errorf("%s: %s, want %s", c.path, said, c.want)
		}
	}
}

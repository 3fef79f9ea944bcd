// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// auditorRequests are the requests that the auditor sent since, watches and
// lists apart.
func (r *rig) auditorRequests(since time.Time) (looks, lists []kubelab.Request) {
	r.t.Helper()
	all, err := r.cluster.Requests(since)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, q := range all {
		switch {
		case !strings.HasPrefix(q.UserAgent, "plumbline-auditor/") || q.Verb == "watch":
		case q.Verb == "list":
			lists = append(lists, q)
		default:
			looks = append(looks, q)
		}
	}
	return looks, lists
}

// TestRequests counts what 50 converged applications cost: at the start one
// list and one watch for each kind, and then nothing, until something differs.
func TestRequests(t *testing.T) {
	r := newRig(t)
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("app-%d", i))
	}
	r.lists(names...)
	var apps []*app
	for i, name := range names {
		a := r.app(name)
		a.converge(configMap(fmt.Sprintf("one-%d", i), "k", "v"), configMap(fmt.Sprintf("two-%d", i), "k", "v"),
			fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: svc-%d}\nspec: {selector: {app: x}, ports: [{port: 80}]}\n", i))
		apps = append(apps, a)
	}
	r.patch(configMaps, "one-7", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	start := time.Now()
	stop := r.audit()
	apps[7].hears("detected ConfigMap/one-7 changed") // made while the auditor was down
	apps[49].edited("two-49")
	looks, lists := r.auditorRequests(start)
	t.Logf("start over 150 objects of 2 kinds: %d lists, %d others", len(lists), len(looks))
	if len(lists) > 4 {
		t.Errorf("%d lists", len(lists))
	}
	for _, q := range looks {
		if strings.Contains(q.URI, "/namespaces/") && q.Name != "two-49" {
			t.Errorf("a look at %s", q.URI)
		}
	}
	operator := r.bus.Connect(t, "operator")
	since := time.Now()
	for i := range 3 {
		r.publish(operator, events.Cause{ID: fmt.Sprintf("sync-%d", i)}, events.Address{}, &events.SyncRequested{By: "test"})
	}
	r.bus.Idle(t, "auditor-local")
	for _, a := range apps {
		a.converge0() // a revision that changes nothing
	}
	r.bus.Idle(t, "auditor-local")
	apps[48].edited("two-48")
	looks, lists = r.auditorRequests(since)
	if len(lists) > 0 {
		t.Errorf("%d lists for nothing", len(lists))
	}
	for _, q := range looks {
		if q.Name != "two-48" {
			t.Errorf("%s %s for nothing", q.Verb, q.URI)
		}
	}
	t.Logf("3 syncs and 50 revisions that change nothing: %d requests; one edit: %d", len(looks)-1, 1)
	stop()
}

// edited makes a hand edit and waits until it is heard of.
func (a *app) edited(name string) {
	a.t.Helper()
	a.patch(configMaps, name, `[{"op":"replace","path":"/data/k","value":"x"}]`)
	bustest.Eventually(a.t, name+" is heard of", func() bool { return strings.Contains(story(a.heard()), "detected ConfigMap/"+name) })
}

// TestManyObjects has an application whose lists go into blobs.
func TestManyObjects(t *testing.T) {
	r := newRig(t)
	a := r.app("many")
	var documents []string
	for i := range 120 {
		documents = append(documents, configMap(fmt.Sprintf("cm-%03d", i), "k", "v"))
	}
	a.converge(documents...)
	r.audit()
	a.quiet("")
	for i := range 120 {
		r.patch(configMaps, fmt.Sprintf("cm-%03d", i), `[{"op":"replace","path":"/data/k","value":"x"}]`)
	}
	bustest.Eventually(t, "all are detected", func() bool { return len(a.heard()) == 120 })
	a.apply()
	bustest.Eventually(t, "all are resolved", func() bool { return len(a.heard()) == 240 })
	a.once()
}

// The store lost the list of what was applied, and only that: nothing is
// learnt from it, and the application is audited by its bodies all the same.
func TestAuditsWithoutTheListOfWhatWasApplied(t *testing.T) {
	r := newRig(t)
	a := r.app("unlearnt")
	a.commit()
	a.render(configMap("cm", "k", "v"))
	a.writeAll()
	lost := events.Blob{Name: "plumbline.blob.applier.local.lost", Digest: "sha256:" + strings.Repeat("0", 64), Size: 1, Chunks: 1}
	a.next(&events.ConvergenceApplied{Converging: a.converging(), Objects: events.AppliedObjects{Count: 51, Blob: &lost}}, a.applier)
	a.next(&events.ConvergenceCompleted{Converging: a.converging()}, a.applier)
	r.audit()
	a.quiet("")
	r.patch(configMaps, "cm", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	bustest.Eventually(t, "the edit is detected", func() bool { return len(a.heard()) == 1 })
}

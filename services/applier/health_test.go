// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
)

func deploymentYAML(name, selector string, replicas int) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: ` + string(rune('0'+replicas)) + `
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      nodeSelector: {` + selector + `}
      containers: [{name: main, image: registry.example.com/main:1}]
---
`
}

// crdYAML defines a kind whose name its plural gives: gauges, Gauge.
func crdYAML(plural string) string {
	kind := strings.ToUpper(plural[:1]) + plural[1:len(plural)-1]
	return strings.NewReplacer("gauges", plural, "gauge", strings.ToLower(kind), "Gauge", kind).Replace(gaugeYAML)
}

const gaugeYAML = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gauges.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gauges, singular: gauge, kind: Gauge}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

func custom(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: plural}
}

// report sets the Ready condition of a custom resource, as its controller
// would.
func (r *rig) report(plural, name, ready string) {
	r.Helper()
	_, err := r.client(custom(plural), r.namespace).Patch(r.Context(), name, "application/merge-patch+json",
		[]byte(`{"status":{"conditions":[{"type":"Ready","status":"`+ready+`","reason":"Test","message":"the needle is stuck"}]}}`), patchOptions, "status")
	r.must(err)
}

// Discovery remembers a kind whose CRD is gone: nothing may wait for a watch
// of it.
func TestACRDThatWasPrunedComesBackWithItsResource(t *testing.T) {
	r := newRig(t)
	r.start()
	crd := crdYAML("needles")
	resource := "apiVersion: example.com/v1\nkind: Needle\nmetadata: {name: one}\nspec: {scale: 5}\n"
	r.commit("needle", crd+resource)
	r.await("needle", "completed", 1)
	without := r.commit("needle", resource)
	r.approve("needle", payload[*events.ConvergenceHeld](r.await("needle", "held", 1)).Hold)
	r.await("needle", "failed", 1)
	r.diverged(without, events.Object{Group: "example.com", Version: "v1", Kind: "Needle", Namespace: r.namespace, Name: "one"})
	r.eventually("the CRD is gone", func() bool {
		_, err := r.admin.Resource(definitions).Get(t.Context(), "needles.example.com", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	from := time.Now()
	r.commit("needle", crd+resource)
	r.await("needle", "completed", 2)
	if took := time.Since(from); took >= syncTimeout {
		t.Errorf("it took %s: a watch of a kind that is gone was waited for", took)
	}
}

func TestACRDAndItsResourceInOneCommitAndHealthLostAndFound(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("gauge", crdYAML("gauges")+"apiVersion: example.com/v1\nkind: Gauge\nmetadata: {name: g}\nspec: {scale: 5}\n")
	if applied := r.applied("gauge", 1); applied.Counts.Created != 2 {
		t.Errorf("got %+v", applied.Counts)
	}
	completed := payload[*events.ConvergenceCompleted](r.await("gauge", "completed", 1))
	if completed.After <= 0 || completed.Digest != manifestsOf(e).Digest {
		t.Errorf("got %+v", completed)
	}

	r.report("gauges", "g", "False")
	degraded := payload[*events.ConvergenceDegraded](r.await("gauge", "degraded", 1))
	if !strings.Contains(degraded.Message, "the needle is stuck") || degraded.Failures[0].Name != "g" {
		t.Errorf("got %+v", degraded)
	}
	r.report("gauges", "g", "True")
	if again := r.await("gauge", "completed", 2); again.Sequence != e.Sequence || again.CorrelationID != e.CorrelationID {
		t.Errorf("got %+v", again)
	}

	t.Run("a CRD is never pruned without approval", func(t *testing.T) {
		r.commit("gauge", configMapYAML("other", "1"))
		held := payload[*events.ConvergenceHeld](r.await("gauge", "held", 1))
		if held.Reason != events.ReasonProtectedKind {
			t.Errorf("got %+v", held)
		}
		r.approve("gauge", held.Hold)
		if applied := r.applied("gauge", 3); applied.Counts.Pruned != 2 {
			t.Errorf("got %+v", applied)
		}
	})
}

func TestFailsWhenNotHealthyInTimeAndRecovers(t *testing.T) {
	r := newRig(t)
	r.declare("web", func(d *events.Declaration) { d.Converge.Timeout = events.Duration(700 * time.Millisecond) })
	r.fleet()
	r.start()
	r.commit("web", deploymentYAML("web", "nowhere: here", 1))
	r.applied("web", 1)
	failed := payload[*events.ConvergenceFailed](r.await("web", "failed", 1))
	if failed.Reason != events.ReasonUnhealthy || failed.Failures[0].Kind != "Deployment" {
		t.Errorf("got %+v", failed)
	}
	r.declare("web", func(d *events.Declaration) { d.Converge.Timeout = events.Duration(20 * time.Second) })
	r.commit("web", deploymentYAML("web", "", 2))
	r.await("web", "completed", 1)
	if n := len(r.events("web", "degraded")); n != 0 {
		t.Errorf("our own rollout was called a loss of health:%s", r.story("web"))
	}

	t.Run("a wait for health survives a restart", func(t *testing.T) {
		r.commit("web", deploymentYAML("web", "", 3))
		r.await("web", "completed", 2)
	})
}

func TestAWaitForHealthGoesOnAfterARestart(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("gauge2", crdYAML("dials")+"apiVersion: example.com/v1\nkind: Dial\nmetadata: {name: g2}\nspec: {a: 1}\n")
	r.await("gauge2", "completed", 1)
	r.report("dials", "g2", "False")
	r.await("gauge2", "degraded", 1)
	stop()
	stop = r.start()
	r.report("dials", "g2", "True")
	r.await("gauge2", "completed", 2)
	stop()
	if n := len(r.events("gauge2", "applied")); n != 1 {
		t.Errorf("said%s", r.story("gauge2"))
	}
}

// Whatever a cluster shows: completed is said only of what is healthy and
// whole, failed and degraded never, nothing twice in a row, and never degraded
// within a rollout.
func TestDecideHealthOverManyHistories(t *testing.T) {
	grace := 10 * time.Second
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 4))
		now := time.Unix(0, 0)
		var s healthState
		last := reportNothing
		for range 60 {
			now = now.Add(time.Duration(r.IntN(5000)) * time.Millisecond)
			if r.IntN(15) == 0 {
				s, last = healthState{Phase: healthWaiting, Deadline: now.Add(20 * time.Second)}, reportNothing
			}
			v := verdict{Status: healthStatus(r.IntN(4))}
			complete := r.IntN(4) > 0
			before := s
			var report healthReport
			s, report = decideHealth(s, v, complete, grace, now)
			healthy := v.Status == healthCurrent
			switch {
			case report == reportCompleted && (!healthy || !complete),
				(report == reportFailed || report == reportDegraded) && healthy,
				report == reportDegraded && before.Phase == healthWaiting,
				report == reportFailed && v.Status != healthFailed && now.Before(before.Deadline),
				report != reportNothing && report == last,
				report == reportDegraded && v.Status != healthFailed && (before.Since.IsZero() || now.Sub(before.Since) < grace):
				t.Fatalf("seed %d: from %+v by %+v: %v", seed, before, v, report)
			}
			if again, twice := decideHealth(s, v, complete, grace, now); twice != reportNothing || again != s {
				t.Fatalf("seed %d: the same look twice reports %v", seed, twice)
			}
			if report != reportNothing {
				last = report
			}
		}
	}
}

func TestFightsWaitLongerEachTime(t *testing.T) {
	f := &fight{}
	now := time.Unix(0, 0)
	var waits []time.Duration
	for range 10 {
		f.heal(now, now)
		waits = append(waits, f.until.Sub(now))
		now = f.until.Add(time.Second)
	}
	want := []time.Duration{0, 0, 0, 2 * time.Second, 6 * time.Second, 18 * time.Second, 54 * time.Second, 162 * time.Second, 300 * time.Second, 300 * time.Second}
	for i := range want {
		if waits[i] != want[i] && i < 8 { // later ones leave the window
			t.Errorf("got %v, want %v", waits, want)
			break
		}
	}
	f.heal(now.Add(2*fightWindow), now.Add(2*fightWindow))
	if !f.until.Equal(now.Add(2 * fightWindow)) {
		t.Error("a fight of long ago still counts")
	}
}

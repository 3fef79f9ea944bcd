// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// once makes sure that every divergence was detected, persisted and resolved
// once and in that order.
func (a *app) once() {
	a.t.Helper()
	last := map[string]string{}
	follows := map[string]string{"detected": " resolved", "persisted": "detected", "resolved": "detected persisted"}
	for _, e := range a.heard() {
		if before := last[e.Key]; !strings.Contains(follows[e.Type.Verb], before) || before == "" && e.Type.Verb != "detected" {
			a.t.Errorf("%s: %s follows %q", divergenceOf(e).Object, e.Type.Verb, before)
		}
		last[e.Key] = e.Type.Verb
	}
}

// TestSoak edits and heals at random, while the auditor is killed at any
// moment, its bus restarted and a second one started beside it.
func TestSoak(t *testing.T) {
	r := newRig(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	a := r.app("soak", func(d *events.Declaration) { d.Audit.AlertAfter = events.Duration(50 * time.Millisecond) })
	var documents []string
	for i := range 4 {
		documents = append(documents, configMap(fmt.Sprintf("cm-%d", i), "k", "v"))
	}
	a.converge(documents...)
	kill := r.killable()
	for range 120 {
		object := random.IntN(4)
		name := fmt.Sprintf("cm-%d", object)
		switch random.IntN(8) {
		case 0, 1, 2:
			if a.exists(name) {
				r.patch(configMaps, name, fmt.Sprintf(`[{"op":"replace","path":"/data/k","value":"%d"}]`, random.IntN(1000)))
			}
		case 3:
			if a.exists(name) {
				a.delete(name)
			}
		case 4, 5:
			a.write(a.bundle.Objects[object])
		case 6:
			kill()
			kill = r.killable()
		case 7:
			a.applied(a.writeAll()...)
		}
		if random.IntN(3) == 0 {
			count := len(a.heard())
			waited := time.Now()
			bustest.Eventually(t, "a moment", func() bool { return len(a.heard()) > count || time.Since(waited) > 40*time.Millisecond })
		}
	}
	a.applied(a.writeAll()...)
	bustest.Eventually(t, "nothing is open", func() bool {
		open := map[string]bool{}
		for _, e := range a.heard() {
			open[e.Key] = e.Type.Verb != "resolved"
		}
		for _, is := range open {
			if is {
				return false
			}
		}
		return true
	})
	a.once()
	t.Logf("%d events", len(a.heard()))
	kill()
}

func (a *app) exists(name string) bool {
	_, err := a.client(configMaps, "").Get(a.t.Context(), name, metav1.GetOptions{})
	return err == nil
}

// killable runs an auditor and returns what ends it as a crash does: its
// connection to the bus goes first, whatever it is doing.
func (r *rig) killable(change ...func(*rest.Config, *timing)) (kill func()) {
	r.t.Helper()
	config, err := kube.Config(r.kubeconfig)
	if err != nil {
		r.t.Fatal(err)
	}
	times := defaultTiming
	for _, c := range change {
		c(config, &times)
	}
	cluster, err := newCluster("local", config, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	conn := r.bus.Connect(r.t, "auditor-local")
	cfg, err := r.config().withDefaults()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	auditor := newAuditor(cfg, bustest.Log(r.t), conn, cluster, seal.DigestKey{})
	auditor.readers.timing = times
	go func() { done <- auditor.run(ctx) }()
	ended := false
	kill = func() {
		if ended {
			return
		}
		ended = true
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			r.t.Logf("killed: %v", err)
		}
	}
	r.t.Cleanup(kill)
	return kill
}

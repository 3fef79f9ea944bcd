// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// open starts an applier that can be looked into.
func (r *rig) open() (*applier, *bus.Conn) {
	r.Helper()
	r.start()
	return r.last, r.conn
}

// remembers looks, in the queue of an application, whether the applier would ask
// the log for what was said of it, and what it then knows.
func (r *rig) remembers(a *applier, name string) (asked bool, last map[string]events.Event) {
	r.Helper()
	r.nats.Idle(r, "applier-local")
	r.within(name, func(ctx context.Context) error {
		inv, _ := a.inventories.get(name)
		var err error
		t := &task{app: a.application(name)}
		asked, err = a.read(ctx, t, inv)
		last = maps.Clone(t.app.logged.last) // work that follows adds to it
		return err
	})
	return asked, last
}

// checkMemory checks whether the applier had to ask, and that what it knows is
// what lies in the log: at once, or when it has said what it was about to say. It
// asks no more for that.
func (r *rig) checkMemory(a *applier, name string, asks bool) {
	r.Helper()
	asked, last := r.remembers(a, name)
	if asked != asks {
		r.Errorf("the log was asked: %t, want %t%s", asked, asks, r.story(name))
	}
	var diff string
	defer func() {
		if diff != "" {
			r.Errorf("what is remembered is not what the log holds:\n%s", diff)
		}
	}()
	r.eventually("what is remembered is what the log holds", func() bool {
		if diff = cmp.Diff(r.recalled(name), last, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b *events.Type) bool { return a == b })); diff == "" {
			return true
		}
		if asked, last = r.remembers(a, name); asked {
			r.Error("the log was asked once more")
		}
		return asked
	})
}

// recalled is what the log holds of what an applier remembers of an application.
func (r *rig) recalled(name string) map[string]events.Event {
	r.Helper()
	last := map[string]events.Event{}
	for _, verb := range []string{"applied", "completed", "failed", "degraded", "held"} {
		for _, e := range r.nats.Events(r, "plumbline.v1.convergence."+verb+".local."+name) {
			last[verb] = slim(e)
		}
	}
	return last
}

// Of what the applier has said itself the log isn't asked again, whatever it was
// and however it came to be said; and what it remembers is what the log holds.
func TestWhatWasSaidIsRemembered(t *testing.T) {
	r := newRig(t)
	a, _ := r.open()
	two := configMapYAML("one", "1") + configMapYAML("two", "1")
	r.commit("shop", two)
	r.await("shop", "completed", 1)
	r.checkMemory(a, "shop", false)

	r.commit("shop", configMapYAML("one", "2")+configMapYAML("two", "1"))
	r.await("shop", "completed", 2)
	r.checkMemory(a, "shop", false)

	r.unchanged("shop", configMapYAML("one", "2")+configMapYAML("two", "1"))
	r.checkMemory(a, "shop", false)

	of := r.commit("shop", two)
	r.await("shop", "completed", 3)
	r.edit(configMaps_, "two", `{"data":{"key":"by hand"}}`)
	r.diverged(of, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "two"})
	r.await("shop", "applied", 4)
	r.await("shop", "completed", 4)
	r.checkMemory(a, "shop", false)

	r.commit("shop", configMapYAML("one", "3")+"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: kube-system}\n---\n"+
		"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: -1}]}\n")
	r.await("shop", "failed", 1)
	r.checkMemory(a, "shop", false)

	r.commit("shop", manyConfigMaps(6, "1"))
	r.await("shop", "completed", 5)
	r.commit("shop", configMapYAML("c00", "1"))
	r.await("shop", "held", 1)
	r.checkMemory(a, "shop", false)
}

// Where somebody else may have said something, or what was said is gone, the log
// is asked.
func TestWhatWasSaidIsAskedAgain(t *testing.T) {
	r := newRig(t)
	a, conn := r.open()
	e := r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.begun("shop")
	r.checkMemory(a, "shop", false)

	other := r.nats.Connect(r, "applier-local") // by mistake
	say := func() {
		t.Helper()
		r.commits++
		_, err := other.Publish(t.Context(), events.Cause{ID: fmt.Sprint("other", r.commits)}, events.Draft{
			Address: events.Address{Cluster: "local", Application: "shop"}, Revision: order(e),
			Data: &events.ConvergenceFailed{Converging: events.Converging{Revision: manifestsOf(e).Revision, Digest: manifestsOf(e).Digest}, Reason: events.ReasonRefused, Message: "of another"},
		})
		r.must(err)
	}
	for name, step := range map[string]func(){
		"another applier has written the inventory": func() {
			before, _ := a.inventories.get("shop")
			say()
			_, err := r.admin.Resource(configMaps_).Namespace(systemNamespace).Patch(t.Context(), inventoryName("shop"),
				"application/merge-patch+json", []byte(`{"metadata":{"annotations":{"touched":"`+fmt.Sprint(r.commits)+`"}}}`), patchOptions)
			r.must(err)
			r.eventually("it is seen", func() bool {
				now, _ := a.inventories.get("shop")
				return now.ResourceVersion != before.ResourceVersion
			})
		},
		"the connection was lost": func() {
			r.nats.Down(t)
			r.eventually("it is lost", func() bool { return !conn.Connected() })
			r.up()
			r.eventually("it is back", func() bool { return conn.Connected() && other.Connected() })
			say()
		},
		"what is published was there already": func() {
			d := events.Draft{Address: events.Address{Cluster: "local", Application: "shop"}, Revision: order(e), Data: &events.ConvergenceFailed{Message: "mine"}}
			say()
			a.consumer.Observe("shop", events.Cause{ID: fmt.Sprint("other", r.commits)}, func(context.Context) ([]events.Draft, error) { return []events.Draft{d}, nil })
		},
		"everything is looked at again": func() {
			say()
			a.application("shop").anew.Store(true)
			a.resyncOne("shop", events.Event{})
		},
	} {
		t.Run(name, func(*testing.T) {
			step()
			if name == "everything is looked at again" { // which has asked by then
				r.checkMemory(a, "shop", false)
				return
			}
			r.checkMemory(a, "shop", true)
			r.checkMemory(a, "shop", false)
		})
	}
}

// An applier that took over for a while has said that the application fails. The
// revision that ends that is what was applied before: that it has is said.
func TestAFailureThatAnotherApplierSaidIsEnded(t *testing.T) {
	r := rigOn(t, kubelab.ForTest(t))
	a, _ := r.open()
	good := configMapYAML("one", "1")
	e := r.commit("shop", good)
	r.await("shop", "completed", 1)
	other := r.nats.Connect(r, "applier-local")
	_, err := other.Publish(t.Context(), events.Cause{ID: "other"}, events.Draft{
		Address: events.Address{Cluster: "local", Application: "shop"}, Revision: order(e),
		Data: &events.ConvergenceFailed{Converging: events.Converging{Revision: manifestsOf(e).Revision, Digest: manifestsOf(e).Digest}, Reason: events.ReasonRefused, Message: "of another"},
	})
	r.must(err)
	before, _ := a.inventories.get("shop")
	_, err = r.admin.Resource(configMaps_).Namespace(systemNamespace).Patch(t.Context(), inventoryName("shop"),
		"application/merge-patch+json", []byte(`{"metadata":{"annotations":{"touched":"yes"}}}`), patchOptions)
	r.must(err)
	r.eventually("it is seen", func() bool {
		now, _ := a.inventories.get("shop")
		return now.ResourceVersion != before.ResourceVersion
	})
	r.unchanged("shop", good)
	r.await("shop", "applied", 2)
	r.await("shop", "completed", 2)
}

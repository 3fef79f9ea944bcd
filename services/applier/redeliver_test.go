// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// TestRedelivery has every event that the applier consumes worked on several
// times, in any order, and each time by an applier that knows nothing and dies
// between publishing and acknowledging: the log says the same as if each had
// come once, and the cluster ends the same.
func TestRedelivery(t *testing.T) {
	lab := kubelab.ForTest(t)
	var r *rig
	var begun uint64
	bustest.Redeliver(t, bustest.Redelivery{
		User: "applier-local",
		Inputs: func(tb testing.TB, s *bustest.Server) []bustest.Input {
			r = rigWith(tb, lab, s)
			tb.Cleanup(r.checkRedelivered)
			begun = r.publishRedelivered()
			return nil
		},
		Handler: func(tb testing.TB, c *bus.Conn) bus.Handler { return r.handleOnce(tb, c) },
		Same: func(e events.Event) string {
			what := fmt.Sprint(e.Type.Name(), " ", e.Application)
			if e.Stored <= begun {
				return what // whether its revision or the look at the start came first is chance
			}
			switch p := e.Data.(type) {
			case *events.ConvergenceApplied:
				what += fmt.Sprint(" ", p.Revision.Commit, p.Cause)
			case *events.ConvergenceSuperseded:
				what += fmt.Sprint(" ", p.Revision.Commit, p.Cause)
			case *events.ConvergenceFailed:
				what += fmt.Sprint(" ", p.Revision.Commit, p.Cause, p.Reason)
			case *events.ConvergenceHeld:
				what += fmt.Sprint(" ", p.Revision.Commit, p.Cause, p.Reason)
			case *events.ApplicationWithdrawn:
				what += fmt.Sprint(" ", p.Outcome, p.Reason)
			}
			return what
		},
	})
}

var redelivered = []string{"shop", "calm", "drift", "guarded", "gone", "thief"}

// publishRedelivered has applications converged, and then publishes what is to
// be worked on. It returns the place in the log in between.
func (r *rig) publishRedelivered() uint64 {
	r.Helper()
	stop := r.start()
	rendered := map[string]events.Event{}
	for _, name := range redelivered {
		r.declare(name)
	}
	r.fleet()
	for _, name := range redelivered {
		rendered[name] = r.commit(name, configMapYAML(name, "1")+configMapYAML(name+"-more", "1"))
		r.await(name, "completed", 1)
	}
	r.commit("guarded", manyConfigMaps(6, "1"))
	r.await("guarded", "completed", 2)
	guarded := r.commit("guarded", configMapYAML("c00", "1"))
	hold := payload[*events.ConvergenceHeld](r.await("guarded", "held", 1)).Hold
	r.nats.Idle(r, "applier-local")
	stop()
	log, err := r.watcher.Log(r.Context())
	r.must(err)

	r.commit("shop", configMapYAML("shop", "2")) // superseded
	r.commit("shop", configMapYAML("shop", "3")) // and more is pruned
	r.unchanged("calm", configMapYAML("calm", "1")+configMapYAML("calm-more", "1"))
	r.edit(configMaps_, "drift", `{"data":{"key":"by hand"}}`)
	r.diverged(rendered["drift"], events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "drift"})
	r.approve(guarded.Application, hold)
	r.commit("thief", configMapYAML("thief", "2")+configMapYAML("calm", "2"))
	delete(r.declared, "gone")
	r.fleet()
	r.sync()
	return log.Last
}

// checkRedelivered compares the cluster with what the inputs come to.
func (r *rig) checkRedelivered() {
	want := map[string]string{
		"shop": "3", "shop-more": "", "calm": "1", "calm-more": "1", "drift": "1", "drift-more": "1", "c00": "1", "c05": "",
		"gone": "", "gone-more": "", "thief": "1", "thief-more": "1",
	}
	for name, value := range want {
		got := ""
		if o := r.get(configMaps_, name); o != nil {
			data, _, err := nestedMap(o, "data")
			r.must(err)
			got = fmt.Sprint(data["key"])
		}
		if got != value {
			r.Errorf("%s is %q, not %q", name, got, value)
		}
	}
}

// handleOnce handles one event as a process that has just begun, and that is
// gone before it does anything else.
func (r *rig) handleOnce(tb testing.TB, c *bus.Conn) bus.Handler {
	tb.Helper()
	rc, err := clientcmd.BuildConfigFromFlags("", r.lab.Kubeconfig())
	r.must(err)
	return func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		process, cancel := context.WithCancel(ctx)
		a, err := newApplier(process, Config{Cluster: "local", grace: r.grace, timeout: r.timeout, patience: r.patience, believed: r.believed}, c, rc, nil, bustest.Log(tb))
		if err != nil {
			cancel()
			return nil, err
		}
		defer a.observer.done.Wait()
		defer cancel()
		a.consumer = c.Consumer("applier-local", a.handle, bus.Options{}) // which never runs
		watch := newInventoryWatch(a)
		a.observer.done.Go(func() { watch.run(process) })
		<-watch.synced
		if err := a.know(ctx, redelivered); err != nil {
			return nil, err
		}
		drafts, err := a.handle(ctx, in)
		if _, ok := in.Data.(*events.FleetObserved); ok && err == nil { // what its own queue would do
			return a.withdraw(ctx, a.application("gone"), "")
		}
		return drafts, err
	}
}

// know does for claims what the resync at the start does.
func (a *applier) know(ctx context.Context, names []string) error {
	for _, name := range names {
		e, err := a.level(ctx, name)
		if err != nil {
			return err
		}
		inv, _ := a.inventories.get(name)
		a.claimConverged(a.application(name), e, inv)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// Its writes are: the inventory, where it is marked; the object; the
// inventory, where it says that all is done; the inventory, which goes.
func TestAWithdrawalIsSaidOnceWhereverTheApplierIsKilled(t *testing.T) {
	const writes = 4
	for n := 1; n <= writes; n++ {
		for _, arrives := range []bool{false, true} {
			t.Run(fmt.Sprintf("at write %d, which arrives: %t", n, arrives), func(t *testing.T) {
				r := newRig(t)
				stop := r.start()
				r.declare("stays")
				r.declare("goes")
				r.fleet()
				for _, name := range []string{"stays", "goes"} {
					r.commit(name, configMapYAML(name, "1"))
					r.await(name, "completed", 1)
				}
				stop()

				died := r.dieAt(n, arrives)
				stop = r.start()
				delete(r.declared, "goes")
				r.fleet()
				<-died
				stop()

				r.wrap = nil
				r.start()
				r.noInventory("goes")
				if gone := r.withdrawn("goes", 1); gone.Outcome != events.ActionPruned || gone.Objects.Count != 1 || gone.Objects.Items[0].Name != "goes" {
					t.Errorf("%+v", gone)
				}
				r.sync()
				r.commit("stays", configMapYAML("stays", "2"))
				r.await("stays", "completed", 2)
				r.nats.Idle(r, "applier-local")
				if said := r.events("goes", "withdrawn"); len(said) != 1 {
					t.Errorf("said %d times:%s", len(said), r.story("goes"))
				}
				if r.get(configMaps_, "goes") != nil {
					t.Error("it is still there")
				}
			})
		}
	}
}

// dieAt makes the next applier's API server go silent at a write: before it
// arrives, or before its answer does.
func (r *rig) dieAt(write int, arrives bool) (died <-chan struct{}) {
	dead := make(chan struct{})
	transport := &counted{}
	transport.before = func(n int, req *http.Request) (*http.Response, error) {
		if n < write {
			return nil, nil
		}
		if n == write {
			if arrives {
				if response, err := transport.next.RoundTrip(req); err == nil {
					response.Body.Close() //nolint:errcheck // it is not read
				}
			}
			close(dead)
		}
		<-req.Context().Done()
		return nil, errors.Join(errors.New("killed"), req.Context().Err())
	}
	r.wrap = transport.wrap
	return dead
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// The bus has lost everything, and the newest commit can't be rendered: nothing
// in the new log is to be applied. What an edit changes of what is in force is
// put back all the same, by the bundle that is kept.
func TestHealsWhatTheBusHasLost(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)

	store := r.nats.Store()
	r.nats.Down(t)
	r.must(os.RemoveAll(store))
	r.nats.Up(t)
	r.fleet()
	c, p := r.observe("shop")
	r.publish(c, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "x"})
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	e.Epoch, e.Sequence = c.Epoch, 0 // as the auditor says it in the new log
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"})
	r.eventually("the edit is put back", func() bool {
		data, _, _ := nestedMap(r.get(configMaps_, "one"), "data")
		return data["key"] == "1"
	})
}

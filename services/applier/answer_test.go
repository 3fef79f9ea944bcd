// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// loseAnswer loses the answer to the nth write of an application's inventory,
// which takes effect, and counts those writes.
func (r *rig) loseAnswer(application string, n int32) *atomic.Int32 {
	var writes atomic.Int32
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(req)
			takesEffect := err == nil && response.StatusCode == http.StatusOK // one from behind the watch is a conflict
			if !takesEffect || req.Method != http.MethodPut || !strings.HasSuffix(req.URL.Path, inventoryName(application)) || writes.Add(1) != n {
				return response, err
			}
			response.Body.Close() //nolint:errcheck // it is not read
			return nil, io.ErrUnexpectedEOF
		})
	}
	return &writes
}

// The last write of a run takes effect, and its answer is lost: what was done is
// said all the same, although nothing is left to be done.
func TestSaysWhatItDidAlthoughTheLastAnswerIsLost(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()
	writes := r.loseAnswer("shop", 2)
	r.start()
	e := r.commit("shop", configMapYAML("one", "2"))
	if applied := r.applied("shop", 2); applied.Digest != manifestsOf(e).Digest {
		t.Errorf("said %s, want %s", applied.Digest, manifestsOf(e).Digest)
	}
	if completed := payload[*events.ConvergenceCompleted](r.await("shop", "completed", 2)); completed.Digest != manifestsOf(e).Digest {
		t.Errorf("completed %s, want %s", completed.Digest, manifestsOf(e).Digest)
	}
	if n := writes.Load(); n != 2 {
		t.Errorf("the inventory was written %d times, want 2", n)
	}
}

// A commit is rendered again to what is applied already, after one that couldn't
// be. The one write that says so takes effect, and its answer is lost: what
// became of the commit is said all the same.
func TestSaysWhatBecameOfACommitThatChangesNothing(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()
	writes := r.loseAnswer("shop", 1)
	r.start()
	c, p := r.observe("shop")
	r.publish(c, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "x"})
	e := r.commit("shop", configMapYAML("one", "1"))
	said := r.await("shop", "applied", 2)
	if said.Sequence != e.Sequence {
		t.Errorf("said of %d, want %d", said.Sequence, e.Sequence)
	}
	if writes.Load() == 0 {
		t.Error("no answer was lost")
	}
}

// Another applier, by mistake, has applied a revision and died before it said so:
// this one, which has nothing left to do, says it.
func TestSaysWhatAnotherApplierApplied(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.sync() // it has read what was said, and nothing was said since
	r.nats.Idle(r, "applier-local")
	c, p := r.observe("shop")
	m := r.render(p, configMapYAML("one", "1")+configMapYAML("two", "1"))
	other := newInventories(r.core, nil)
	inv, _ := r.inventory("shop")
	inv.Fence.Sequence, inv.Fence.Digest, inv.Fence.Declaration = c.Sequence, m.Digest, m.DeclarationDigest
	_, err := other.write(r.Context(), inv)
	r.must(err)
	r.publish(c, m)
	if applied := r.await("shop", "applied", 2); applied.Sequence != c.Sequence {
		t.Errorf("said of %d, want %d", applied.Sequence, c.Sequence)
	}
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"net/http"
	"path"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// TestWhatPassesIsNoNews has an object refused, and an API server that now and
// then can't say so: people hear of the refusal once, and of the server when it
// stays like that.
func TestWhatPassesIsNoNews(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var sent atomic.Int32
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodPatch || path.Base(req.URL.Path) != "one" {
			return nil, nil
		}
		switch n := sent.Add(1); {
		case n == 1, n == 7: // a try each
			return answer(req, http.StatusUnprocessableEntity, "Invalid"), nil
		case n <= 17: // five attempts a try: one that is alone, and two in a row
			return answer(req, http.StatusInternalServerError, "InternalError"), nil
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "failed", 1)
	for _, until := range []int32{2, 7, 8, 13, 18} { // what is tried again by itself takes its time
		r.sync()
		r.eventually("it is tried again", func() bool { return sent.Load() >= until })
	}
	r.await("shop", "completed", 1)
	var said []string
	for _, e := range r.events("shop", "failed") {
		said = append(said, payload[*events.ConvergenceFailed](e).Failures[0].APIReason)
	}
	if !slices.Equal(said, []string{"Invalid", "InternalError"}) {
		t.Errorf("it was said to fail by %v%s", said, r.story("shop"))
	}
}

// TestAFailureIsSaidOnce has a revision fail again after a restart, and as all is
// looked at: the log knows that it does.
func TestAFailureIsSaidOnce(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var sent atomic.Int32
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" && sent.Add(1) <= 3 {
			return answer(req, http.StatusUnprocessableEntity, "Invalid"), nil
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "failed", 1)
	stop()
	r.start()
	r.eventually("it is tried again after the start", func() bool { return sent.Load() >= 2 })
	for sent.Load() < 4 {
		n := sent.Load()
		r.sync()
		r.eventually("it is tried again", func() bool { return sent.Load() > n })
	}
	r.await("shop", "completed", 1)
	if n := len(r.events("shop", "failed")); n != 1 {
		t.Errorf("it was said to fail %d times%s", n, r.story("shop"))
	}
}

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

func TestWhatIsAnOutage(t *testing.T) {
	t.Parallel()
	maps := schema.GroupResource{Resource: "configmaps"}
	unavailable := apierrors.NewServiceUnavailable("starting")
	o := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "one"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no answer":                      {errors.New("connection refused"), true},
		"too slow":                       {context.DeadlineExceeded, true},
		"not up yet":                     {unavailable, true},
		"an internal error":              {apierrors.NewInternalError(errors.New("etcd")), true},
		"too many requests":              {apierrors.NewTooManyRequests("slower", 1), true},
		"it doesn't know us":             {apierrors.NewUnauthorized("who"), true},
		"a timeout of its own":           {apierrors.NewServerTimeout(maps, "get", 1), true},
		"not up yet, for one object":     {explain(o, unavailable), false},
		"too slow, for one object":       {&trouble{Err: context.DeadlineExceeded}, false},
		"it forbids it":                  {apierrors.NewForbidden(maps, "one", errors.New("no")), false},
		"it isn't there":                 {apierrors.NewNotFound(maps, "one"), false},
		"someone else was first":         {apierrors.NewConflict(maps, "one", errors.New("old")), false},
		"the inventory was changed":      {errInventoryChanged, false},
		"a kind that nobody serves":      {errUnknownKind, false},
		"the event is at fault":          {fault.Terminal(events.ReasonIntegrity, "no", errors.New("x")), false},
		"the store has lost the bundle":  {fault.RetryAfter(errLacking, missingAgain), false},
		"the applier ends":               {context.Canceled, false},
		"it is called an outage already": {fault.Outage("the bus", errors.New("gone")), true},
		"the bus lost a bundle":          {ofBus(blob.ErrMissing), false},
		"the bus doesn't let us":         {ofBus(errors.New("permissions violation")), false},
		"the bus is slow":                {ofBus(context.DeadlineExceeded), false},
		"the input is at fault":          {fault.Terminal(events.ReasonIntegrity, "x", nil), false},
	} {
		if _, got := fault.AsOutage(outage("local", fmt.Errorf("read the inventory: %w", c.err))); got != c.want {
			t.Errorf("%s: an outage: %t", name, got)
		}
	}
	if outage("local", nil) != nil {
		t.Error("nothing is an outage")
	}
}

func TestAKindThatIsNotServedForAMomentIsTriedAgainInTheSameRun(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var refused atomic.Int32
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && refused.Add(1) <= 2 {
			return answer(req, http.StatusNotFound, "NotFound"), nil
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	if applied := r.applied("shop", 1); applied.Counts.Created != 1 || len(r.events("shop", "failed")) > 0 {
		t.Errorf("%+v%s", applied.Counts, r.story("shop"))
	}
}

// answer is a refusal of the API server.
func answer(req *http.Request, code int, reason string) *http.Response {
	body := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"the server could not do it"}`, reason, code)
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}
}

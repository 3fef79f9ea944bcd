// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

const (
	// readyTimeout bounds the question whether the API server is there.
	readyTimeout = 10 * time.Second
	// aloneAgain is how soon what one application alone got no answer to is
	// tried again.
	aloneAgain = time.Second
	// aloneLimit is how often in a row that may be before people are told.
	aloneLimit = 3
)

// outage wraps what may say that the API server is not there at all: no answer,
// none that is its own, or none but that it can't answer now. A refusal of an
// object is none, nor is anything of the bus, nor what an input is at fault for,
// or waits for.
func outage(cluster string, err error) error {
	if err == nil {
		return nil
	}
	_, already := fault.AsOutage(err)
	_, _, terminal := fault.AsTerminal(err)
	_, asked := fault.Delay(err)
	var status apierrors.APIStatus
	switch {
	case already, terminal, asked:
		return err
	case errors.As(err, new(busError)):
		return fault.RetryAfter(err, missingAgain)
	case errors.Is(err, context.Canceled), errors.Is(err, errInventoryChanged), errors.Is(err, errUnknownKind), errors.As(err, new(*trouble)):
		return err
	case errors.As(err, &status):
		code := status.Status().Code
		if !apierrors.IsUnauthorized(err) && code != http.StatusTooManyRequests && code < http.StatusInternalServerError {
			return err
		}
	}
	return fault.Outage("the API server of cluster "+cluster, err)
}

// blame says what an error of one application's run means. An outage pauses
// all applications, so nothing is one on the word of a single run: the API server
// is asked whether it is there. If it is, the application is alone with its error,
// as one whose CRD converts by a webhook that is down: it is tried again by
// itself, and after a few times in a row the error is a *[trouble], for people.
func (a *applier) blame(ctx context.Context, app *application, err error) error {
	if _, asked := fault.AsOutage(err); asked {
		return err
	}
	cause := err
	err = outage(a.cluster, err)
	if _, out := fault.AsOutage(err); !out {
		app.alone = 0
		return err
	}
	if a.ready(ctx) != nil {
		return err
	}
	if app.alone++; app.alone < aloneLimit {
		return fault.RetryAfter(cause, aloneAgain)
	}
	t := &trouble{Reason: events.ReasonRefused, Again: true, Passing: true, Err: cause}
	why := "no answer comes"
	var status apierrors.APIStatus
	if errors.As(cause, &status) {
		t.APIReason = string(status.Status().Reason)
		why = fmt.Sprintf("it answers %d %s", status.Status().Code, t.APIReason)
	}
	t.Message = fmt.Sprintf("the API server is there, but to what the applier asks for this application %s; it is tried again. The applier's log says what it asked", why)
	return t
}

// ready asks the API server whether it is; that it may not be asked counts as
// yes.
func (a *applier) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := a.discovery.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	if err == nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fault.Outage("the API server of cluster "+a.cluster, err)
}

// unanswered says that a request got no answer of the API server.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	return err != nil && !errors.As(err, &status) && !errors.Is(err, errUnknownKind)
}

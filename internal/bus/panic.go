// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/plumbline-dev/plumbline/events"
)

// panicked is the panic of a goroutine that a handler started.
type panicked struct {
	value any
	stack []byte
}

// Error leaves the value to the log: it may hold what the handler worked on.
func (p *panicked) Error() string { return errPanicked.Error() }

var errPanicked = errors.New("panic in the handler, see the log above")

// Guard makes of a panic in fn an error. A handler starts its goroutines with it:
// a panic there would end the process, and with it the work on other inputs, and
// be nobody's failure.
func Guard(fn func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &panicked{value: p, stack: debug.Stack()}
			}
		}()
		return fn()
	}
}

// call calls fn and turns a panic, of its own or in what it started with [Guard],
// into an error.
func (w *worker) call(ctx context.Context, about *call, fn func(context.Context) ([]events.Draft, error)) (drafts []events.Draft, err error) {
	err = Guard(func() (err error) {
		drafts, err = fn(context.WithValue(ctx, callKey{}, about))
		return err
	})()
	if p := (*panicked)(nil); errors.As(err, &p) {
		w.log.ErrorContext(ctx, "panic in a handler", "panic", p.value, "stack", string(p.stack))
		return nil, errPanicked
	}
	return drafts, err
}

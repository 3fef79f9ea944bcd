// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// TestBacklogOfOneCause has one cause ask for two looks while the first of them
// waits for another try: both are done.
func TestBacklogOfOneCause(t *testing.T) {
	conn := bustest.Start(t, "local").Connect(t, "auditor-local")
	consumer := conn.Consumer("auditor-local", func(context.Context, events.Event) ([]events.Draft, error) { return nil, nil }, bus.Options{})
	failed, second := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := &backlog{consumer: consumer, waits: map[string]*work{}}
	b.look = func(_ context.Context, _ string, w work) (_ []events.Draft, err error) {
		once.Do(func() {
			close(failed)
			err = fault.Outage("the API server", errors.New("refused"))
		})
		if w.keys["second"] {
			close(second)
		}
		return nil, err
	}
	stop := bustest.Run(t, consumer)
	defer stop()
	timer := events.Cause{ID: "timer/1"}
	b.queue("shop", timer, work{keys: map[string]bool{"first": true}})
	<-failed
	b.queue("shop", timer, work{keys: map[string]bool{"second": true}})
	select {
	case <-second:
	case <-time.After(20 * time.Second):
		t.Error("what the same cause asked for while it waited is never looked at")
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/plumbline-dev/plumbline/internal/process"
)

const (
	restartFirst = time.Second
	restartMost  = 30 * time.Second
	// settled is how long a service has to run for its earlier failures to be
	// forgotten.
	settled = time.Minute
)

// errEnded says that a service returned although nobody had told it to.
var errEnded = errors.New("it ended by itself")

// supervise runs a service until ctx ends and starts it again when it fails,
// later each time. A service that fails before it has ever begun its work, as
// with a wrong setting, is not tried again: its error is returned.
func supervise(ctx context.Context, env process.Env, run process.RunFunc) error {
	for failures := 0; ; failures++ {
		begun := time.Now()
		err := guarded(ctx, env, run)
		if ctx.Err() != nil {
			return process.Stopped(ctx, err)
		}
		if err == nil {
			err = errEnded
		}
		if !env.Health.Begun() {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		if time.Since(begun) > settled {
			failures = 0
		}
		again := restartDelay(failures)
		env.Log.Error("the service failed and is started again", "error", err, "in", again)
		wait := time.NewTimer(again)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// guarded runs a service and makes an error of its panic, so that the others
// go on. A panic in another goroutine of it still ends the process.
func guarded(ctx context.Context, env process.Env, run process.RunFunc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx, env)
}

// restartDelay is how long to wait after that many failures in a row.
func restartDelay(failures int) time.Duration {
	return min(restartFirst<<min(failures, 10), restartMost)
}

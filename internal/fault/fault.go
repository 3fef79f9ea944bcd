// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"time"
)

type terminal struct {
	reason  string
	message string
	err     error
}

// Terminal marks err as the input's own fault. The reason is a stable code
// (events.Reason); the message is written for people and goes on the bus, so
// it holds no secret. The text of err goes to the log alone.
func Terminal[R ~string](reason R, message string, err error) error {
	return &terminal{string(reason), message, err}
}

func (t *terminal) Error() string {
	if t.err == nil {
		return t.reason + ": " + t.message
	}
	return fmt.Sprintf("%s: %s: %v", t.reason, t.message, t.err)
}

func (t *terminal) Unwrap() error { return t.err }

// AsTerminal returns the reason and the message of the [Terminal] in err's
// chain.
func AsTerminal(err error) (reason, message string, ok bool) {
	var t *terminal
	if !errors.As(err, &t) {
		return "", "", false
	}
	return t.reason, t.message, true
}

type retryAfter struct {
	err   error
	delay time.Duration
}

// RetryAfter marks err as retryable no sooner than after delay, as a server
// asked with Retry-After.
func RetryAfter(err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err, delay}
}

func (r *retryAfter) Error() string { return fmt.Sprintf("%v (again in %s)", r.err, r.delay) }
func (r *retryAfter) Unwrap() error { return r.err }

// Delay returns what [RetryAfter] in err's chain asks for.
func Delay(err error) (time.Duration, bool) {
	var r *retryAfter
	if !errors.As(err, &r) {
		return 0, false
	}
	return r.delay, true
}

type outage struct {
	dependency string
	err        error
}

// Outage marks err as the absence of a dependency, named for people: "the API
// server of cluster local". It is nobody's input's fault.
func Outage(dependency string, err error) error {
	if err == nil {
		return nil
	}
	return &outage{dependency, err}
}

func (o *outage) Error() string { return fmt.Sprintf("%s is out: %v", o.dependency, o.err) }
func (o *outage) Unwrap() error { return o.err }

// AsOutage returns the dependency that the [Outage] in err's chain names.
func AsOutage(err error) (dependency string, ok bool) {
	var o *outage
	if !errors.As(err, &o) {
		return "", false
	}
	return o.dependency, true
}

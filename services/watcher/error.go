// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/plumbline-dev/plumbline/events"
)

// sourceError is why a repository, or a commit of it, can't be had. Its
// message is for people and goes on the bus: it holds no credentials and no
// text of the server's.
type sourceError struct {
	reason  events.Reason
	message string
	err     error // for the log
}

func (e *sourceError) Error() string {
	if e.err == nil {
		return e.message
	}
	return e.message + ": " + e.err.Error()
}

func (e *sourceError) Unwrap() error { return e.err }

func refuse(reason events.Reason, err error, format string, args ...any) error {
	return &sourceError{reason, fmt.Sprintf(format, args...), err}
}

// tooLarge says that a limit was passed.
func tooLarge(format string, args ...any) error {
	return refuse(events.ReasonSourceTooLarge, nil, format, args...)
}

// classify makes a [sourceError] of what a transport returned.
func classify(err error) *sourceError {
	var known *sourceError
	if errors.As(err, &known) {
		return known
	}
	var key *knownhosts.KeyError
	var dns *net.DNSError
	var dial *net.OpError
	var located *url.Error
	var disk *fs.PathError
	is := func(target error) bool { return errors.Is(err, target) }
	message := func(reason events.Reason, text string) *sourceError { return &sourceError{reason, text, err} }
	switch {
	case is(transport.ErrAuthenticationRequired), is(transport.ErrAuthorizationFailed):
		return message(events.ReasonUnauthorized, "the server refuses the credentials, or wants some")
	case is(transport.ErrRepositoryNotFound):
		return message(events.ReasonUnreachable, "the server knows no such repository, or doesn't show it to these credentials")
	case is(transport.ErrEmptyRemoteRepository):
		return message(events.ReasonEmpty, "the repository is empty")
	case errors.As(err, &key):
		if len(key.Want) == 0 {
			return message(events.ReasonUnauthorized, "the server's host key is not in known_hosts")
		}
		return message(events.ReasonUnauthorized, "the server's host key is not the one in known_hosts")
	case is(context.DeadlineExceeded), is(os.ErrDeadlineExceeded):
		return message(events.ReasonUnreachable, "the server did not answer in time")
	case errors.As(err, &disk):
		return message(events.ReasonUnreachable, "the watcher's own disk fails; see its log")
	case errors.As(err, &dns):
		return message(events.ReasonUnreachable, "the host name can't be resolved")
	case errors.As(err, &dial):
		return message(events.ReasonUnreachable, "the connection failed")
	case errors.As(err, &located):
		return message(events.ReasonUnreachable, "the request failed")
	}
	return message(events.ReasonUnreachable, "the repository can't be read")
}

// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	requestTimeout = 5 * time.Second
	retryWait      = 50 * time.Millisecond
	retryMost      = 5 * time.Second
	// testimonyPatience is how long it is tried to say what was seen of the log.
	testimonyPatience = 5 * time.Minute
)

// Error codes of the server (server/errors.json of nats-server).
const (
	codeWrongLastSequence = 10071
	codeStoreFailed       = 10077
	codeDuplicateInWork   = 10158
	codeMessageTooLarge   = 10054
)

// wire speaks requests to the server and waits for it while it is away.
type wire struct {
	nc      *nats.Conn
	log     *slog.Logger
	denials denials
	meter   meters
	// life ends when the connection is lost or comes back.
	life func() context.Context
}

// errLost says that the connection was lost, or came back, while an answer was
// awaited: it never comes then.
var errLost = errors.New("the connection was lost before the answer came")

// answer is what every answer of the JetStream API may hold.
type answer struct {
	Error *jetstream.APIError `json:"error"`
}

// stored is the server's answer to a publish.
type stored struct {
	answer
	Sequence  uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

// request sends m and returns the answer. While the bus is away, or hangs, it
// tries again until ctx ends. Its error wraps [ErrDenied], or ctx's.
func (w *wire) request(ctx context.Context, m *nats.Msg, fits func(*nats.Msg) error) (*nats.Msg, error) {
	var last error
	for attempt := 0; ; attempt++ {
		life := w.life()
		answer, err := w.requestOnce(ctx, life, m)
		if err == nil {
			err = fits(answer)
		}
		if err == nil || permanent(err) {
			return answer, err
		}
		if ctx.Err() == nil {
			last = err
		}
		if attempt == 3 {
			w.log.Warn("no answer from the bus: asking until there is one", "subject", m.Subject, "error", err)
		}
		back, ok := w.rest(ctx, attempt, life.Done())
		if !ok {
			return nil, fmt.Errorf("%w (last error: %w)", ctx.Err(), errors.Join(last, err))
		}
		if back {
			attempt = -1
		}
	}
}

// rest waits before a question is asked again, ever longer. When the connection
// comes back it is asked at once, whatever the delay: back is true then, and ok
// false where ctx ends.
func (w *wire) rest(ctx context.Context, attempt int, changed <-chan struct{}) (back, ok bool) {
	timer := time.NewTimer(min(retryWait<<min(attempt, 10), retryMost))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-timer.C:
			return false, ctx.Err() == nil
		case <-changed:
			changed = w.life().Done()
			if w.nc.IsConnected() {
				return true, ctx.Err() == nil
			}
		}
	}
}

// requestOnce asks once. life is that of the connection: with it ends the
// waiting.
func (w *wire) requestOnce(ctx, life context.Context, m *nats.Msg) (*nats.Msg, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(life, func() { end(errLost) })
	defer stop()
	defer w.denials.call(m.Subject, end)()
	waiting, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := w.nc.RequestMsgWithContext(waiting, m)
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, ErrDenied) || errors.Is(cause, errLost)) {
		return nil, cause
	}
	return answer, err
}

// refusal is an answer that asking again won't change.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func permanent(err error) bool {
	var r *refusal
	return errors.As(err, &r) || errors.Is(err, ErrDenied) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubject)
}

// apiError returns the error that an answer of the JetStream API holds, marked
// where asking again won't help.
func apiError(e *jetstream.APIError) error {
	switch {
	case e == nil:
		return nil
	case e.ErrorCode == codeWrongLastSequence, e.ErrorCode == codeMessageTooLarge:
		return &refusal{e}
	case e.ErrorCode == codeStoreFailed && strings.Contains(e.Description, "maximum messages per subject"):
		return &refusal{e}
	case e.ErrorCode == codeDuplicateInWork, e.Code >= 500, e.Code == 404:
		return e // not up yet, out of room, not provisioned yet
	default:
		return &refusal{e}
	}
}

// store publishes m and waits until the server has it on disk.
func (w *wire) store(ctx context.Context, m *nats.Msg) (stored, error) {
	var s stored
	_, err := w.request(ctx, m, func(answer *nats.Msg) error {
		s = stored{}
		if err := json.Unmarshal(answer.Data, &s); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		return apiError(s.Error)
	})
	if err != nil {
		return stored{}, fmt.Errorf("publish to %s: %w", m.Subject, err)
	}
	return s, nil
}

// last returns the last message on a subject of a stream by Direct Get, nil
// where there is none. Its own subject, sequence and time are in its headers.
func (w *wire) last(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	m, err := w.request(ctx, nats.NewMsg("$JS.API.DIRECT.GET."+stream+"."+subject), func(answer *nats.Msg) error {
		switch status := answer.Header.Get("Status"); status {
		case "", "404":
			return nil
		case "408", "400":
			return &refusal{fmt.Errorf("server says %s %s", status, answer.Header.Get("Description"))}
		default:
			return fmt.Errorf("server says %s %s", status, answer.Header.Get("Description"))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the last of %s: %w", subject, err)
	}
	if m.Header.Get("Status") == "404" {
		return nil, nil
	}
	return m, nil
}

// info asks for a stream's configuration and state.
func (w *wire) info(ctx context.Context, stream string, options any) (*jetstream.StreamInfo, error) {
	body, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg("$JS.API.STREAM.INFO." + stream)
	m.Data = body
	var info struct {
		answer
		jetstream.StreamInfo
	}
	_, err = w.request(ctx, m, func(answer *nats.Msg) error {
		info.Error = nil
		if err := json.Unmarshal(answer.Data, &info); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		return apiError(info.Error)
	})
	if err != nil {
		return nil, fmt.Errorf("ask for stream %s: %w", stream, err)
	}
	return &info.StreamInfo, nil
}

// Write stores one chunk of a blob.
func (w *wire) Write(ctx context.Context, m *nats.Msg) (exists bool, err error) {
	if _, err = w.store(ctx, m); err == nil {
		w.meter.sending(ctx, "blob", len(m.Data))
	}
	var api *jetstream.APIError
	if ctx.Err() == nil && errors.As(err, &api) && api.ErrorCode == codeStoreFailed {
		return true, nil
	}
	return false, err
}

// Read returns one chunk of a blob.
func (w *wire) Read(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	return w.last(ctx, stream, subject)
}

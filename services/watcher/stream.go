// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/plumbline-dev/plumbline/events"
)

// stream speaks to a git-upload-pack process by its pipes (gitprotocol-pack,
// version 0), as ssh and file do.
type stream struct {
	in     io.WriteCloser
	out    io.ReadCloser
	stderr *tail
	// exited waits until the process has ended by itself and stderr is
	// complete, or until finish was called.
	exited func()
	// finish ends the process and the connection; called once, and from another
	// goroutine where the context ends first.
	finish func()
	once   sync.Once
	untie  func() bool // from the context; of the session's own goroutine
}

// start ties s to ctx: where it ends, so does the process.
func (s *stream) start(ctx context.Context) *stream {
	s.untie = context.AfterFunc(ctx, s.end)
	return s
}

func (s *stream) end() { s.once.Do(s.finish) }

func (s *stream) list(ctx context.Context) (*packp.AdvRefs, error) {
	adv := packp.NewAdvRefs()
	body := &capped{s.out, maxListing, fmt.Sprintf("a listing of refs may have (%d bytes)", maxListing)}
	err := adv.Decode(body)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, s.refusal(ctx, err)
	case err != nil:
		return nil, refuse(events.ReasonSourceInvalid, err, "the server's answer is no listing of refs")
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	return adv, nil
}

// refusal says why upload-pack ended without a word.
func (s *stream) refusal(ctx context.Context, err error) error {
	s.exited()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := s.stderr.String()
	for _, sign := range []string{"not appear to be a git repository", "not found", "does not exist", "No such file", "not served"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, text)
		}
	}
	if strings.Contains(text, "dubious ownership") {
		return refuse(events.ReasonUnauthorized, nil, "git refuses the directory because another user owns it (safe.directory)")
	}
	return fmt.Errorf("%w: %s", err, text)
}

func (s *stream) pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	err := errors.Join(req.UploadRequest.Encode(s.in), req.UploadHaves.Encode(s.in, true),
		pktline.NewEncoder(s.in).EncodeString("done\n"), s.in.Close())
	if err != nil {
		return nil, fmt.Errorf("ask for a pack: %w", err)
	}
	answer, err := decodeAnswer(req, s.out)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return answer, err
}

// close says goodbye with a flush, where nothing was asked for, and ends the
// process.
func (s *stream) close() {
	_, _ = s.in.Write(pktline.FlushPkt) // it may be gone already
	s.untie()
	s.end()
}

// tail keeps the first 4 KiB that a process writes to its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4096 - len(t.text); room > 0 {
		t.text = append(t.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/plumbline-dev/plumbline/events"
)

const (
	dialTimeout = 15 * time.Second
	// maxListing bounds the bytes of a ref listing: half a million refs.
	maxListing = 64 << 20
)

// session is one conversation of git upload-pack: a listing, and at most one
// pack after it.
type session interface {
	list(ctx context.Context) (*packp.AdvRefs, error)
	// pack returns the server's answer, sideband not taken off yet.
	pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error)
	close()
}

// remote is a repository on its host. One goroutine at a time may use it.
type remote struct {
	name      string // of the repository, and of its credentials' folder
	endpoint  endpoint
	directory string // of credentials
	maxPack   int64  // bytes

	client    *http.Client // kept for its connections
	clientKey string       // the authorities that it trusts
}

// open starts a conversation. It lasts until closed, or until ctx ends.
func (r *remote) open(ctx context.Context) (session, error) {
	c, err := readCredentials(r.directory, r.name)
	if err != nil {
		return nil, err
	}
	switch r.endpoint.scheme {
	case "http", "https":
		return r.openHTTP(c)
	case "ssh":
		return openSSH(ctx, r.endpoint, c)
	default:
		return openFile(ctx, r.endpoint)
	}
}

// listing is what a repository shows of its refs.
type listing struct {
	refs         map[string]plumbing.Hash // fully qualified name → what it points to
	peeled       map[string]plumbing.Hash // annotated tag → its commit
	head         plumbing.Hash            // of the default branch; zero: none
	capabilities *capability.List
}

// tip is the commit that a ref points to; zero: there is no such ref.
func (l listing) tip(ref string) plumbing.Hash {
	if id, ok := l.peeled[ref]; ok {
		return id
	}
	return l.refs[ref]
}

// read lists the refs of an open session.
func read(ctx context.Context, s session) (listing, error) {
	adv, err := s.list(ctx)
	if err != nil {
		return listing{}, err
	}
	l := listing{refs: adv.References, peeled: adv.Peeled, capabilities: adv.Capabilities}
	if adv.Head != nil {
		l.head = *adv.Head
	}
	return l, nil
}

// fetch asks for a pack of wants without what haves reach.
func fetch(ctx context.Context, s session, l listing, wants, haves []plumbing.Hash) (io.ReadCloser, error) {
	req := packp.NewUploadPackRequestFromCapabilities(l.capabilities)
	req.Wants, req.Haves = wants, haves
	if l.capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, err
		}
	}
	answer, err := s.pack(ctx, req)
	if err != nil {
		return nil, err
	}
	var body io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		body = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		body = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return &packReader{body, answer}, nil
}

type packReader struct {
	io.Reader
	io.Closer
}

// capped reads at most left bytes and then fails, instead of ending as
// io.LimitReader does.
type capped struct {
	io.ReadCloser
	left  int64
	limit string
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, tooLarge("the server sends more than %s", c.limit)
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	return n, err
}

// decodeAnswer reads what comes before the pack.
func decodeAnswer(req *packp.UploadPackRequest, body io.ReadCloser) (io.ReadCloser, error) {
	answer := packp.NewUploadPackResponse(req)
	if err := answer.Decode(body); err != nil {
		return nil, refuse(events.ReasonSourceInvalid, err, "the server's answer is no pack")
	}
	return answer, nil
}

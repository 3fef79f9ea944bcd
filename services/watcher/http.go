// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/plumbline-dev/plumbline/events"
)

// httpSession speaks smart HTTP (gitprotocol-http, version 0).
type httpSession struct {
	transport.UploadPackSession
}

func (r *remote) openHTTP(c credentials) (session, error) {
	client, err := r.httpClient(c)
	if err != nil {
		return nil, err
	}
	var auth transport.AuthMethod
	if c.password != "" {
		if c.username == "" {
			c.username = "git"
		}
		auth = &githttp.BasicAuth{Username: c.username, Password: c.password}
	}
	ep, err := transport.NewEndpoint(r.endpoint.String())
	if err != nil {
		return nil, refuse(events.ReasonUnreachable, err, "the URL can't be used")
	}
	// sameHost decides, and tells why.
	options := &githttp.ClientOptions{RedirectPolicy: githttp.FollowRedirects}
	s, err := githttp.NewClientWithOptions(client, options).NewUploadPackSession(ep, auth)
	if err != nil {
		return nil, err
	}
	return httpSession{s}, nil
}

// httpClient is made again when the trusted authorities change.
func (r *remote) httpClient(c credentials) (*http.Client, error) {
	if r.client != nil && r.clientKey == string(c.ca) {
		return r.client, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(c.ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("trusted authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(c.ca) {
			return nil, refuse(events.ReasonUnauthorized, nil, "ca.crt of its credentials holds no PEM certificate")
		}
		config.RootCAs = pool
	}
	if r.client != nil {
		r.client.CloseIdleConnections()
	}
	r.clientKey = string(c.ca)
	r.client = &http.Client{
		Transport: &cappedTransport{maxPack: r.maxPack, next: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer().DialContext, TLSClientConfig: config,
			TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1,
			IdleConnTimeout: 2 * time.Minute, MaxResponseHeaderBytes: 1 << 20,
		}},
		CheckRedirect: sameHost,
	}
	return r.client, nil
}

// sameHost refuses a redirect that leaves the host that the fleet declares:
// neither credentials nor trust go along. http may become https on the same
// host name.
func sameHost(to *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return refuse(events.ReasonRedirected, nil, "the server redirects too often")
	}
	from := via[0].URL
	if via[0].Method != http.MethodGet && sameOrigin(from, to.URL) {
		return refuse(events.ReasonRedirected, nil, "the server redirects the request for a pack, which is not followed")
	}
	if sameOrigin(from, to.URL) {
		return nil
	}
	upgrade := via[0].Method == http.MethodGet && from.Scheme == "http" && to.URL.Scheme == "https" && from.Port() == "" && to.URL.Port() == ""
	if upgrade && strings.EqualFold(from.Hostname(), to.URL.Hostname()) {
		return nil
	}
	return refuse(events.ReasonRedirected, nil,
		"the server redirects from %s to %s, which is not followed; declare the new URL if it is right",
		origin(from), origin(to.URL))
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func (s httpSession) list(ctx context.Context) (*packp.AdvRefs, error) {
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, httpError(ctx, err)
	}
	return adv, nil
}

func (s httpSession) pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	answer, err := s.UploadPack(ctx, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) { // so it calls an answer without a word
		return nil, refuse(events.ReasonSourceInvalid, err, "the server's answer is no pack")
	}
	if err != nil {
		return nil, httpError(ctx, err)
	}
	return answer, nil
}

// close leaves the connection to the client.
func (s httpSession) close() { _ = s.Close() }

// httpError keeps the server's body out of what is reported.
func httpError(ctx context.Context, err error) error {
	var opaque *plumbing.UnexpectedError
	if errors.As(err, &opaque) { // it hides what it wraps
		return httpError(ctx, opaque.Err)
	}
	var known *sourceError
	if errors.As(err, &known) {
		return known
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var rubbish *packp.ErrUnexpectedData
	if errors.As(err, &rubbish) || errors.Is(err, pktline.ErrInvalidPktLen) || errors.Is(err, packp.ErrEmptyInput) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(events.ReasonSourceInvalid, err, "the server's answer is no listing of refs of a SHA-1 repository: see whether the URL is that of the repository, and leads to no page for people")
	}
	var located *url.Error
	if errors.As(err, &located) && strings.HasPrefix(located.Err.Error(), "http redirect: ") { // go-git's own refusals have no type
		return refuse(events.ReasonRedirected, err, "the server redirects to where it is not followed; declare the new URL if there is one")
	}
	var status *githttp.Err
	if errors.As(err, &status) {
		return refuse(events.ReasonUnreachable, nil, "the server answers %d", status.StatusCode())
	}
	var unknown *tls.CertificateVerificationError
	if errors.As(err, &unknown) {
		return refuse(events.ReasonUnauthorized, err,
			"the server's certificate is not trusted; put its authority into ca.crt of the repository's credentials")
	}
	return err
}

// cappedTransport bounds what a server may answer.
type cappedTransport struct {
	next    *http.Transport
	maxPack int64
}

func (t *cappedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit, what := int64(maxListing), "a listing of refs may have"
	if req.Method == http.MethodPost {
		limit, what = t.maxPack, "a pack may have"
	}
	res.Body = &capped{res.Body, limit, fmt.Sprintf("%s (%d bytes)", what, limit)}
	return res, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *cappedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

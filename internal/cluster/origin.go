// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// stay holds requests to the origin of a server. client-go writes the token into
// every request that it sends, also into one that a redirect led to another
// host, or out of TLS (the class of go-git CVE-2026-41506).
func stay(server string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return held{origin(server), next} }
}

// held is a transport to one origin.
type held struct {
	origin string
	next   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (h held) RoundTrip(r *http.Request) (*http.Response, error) {
	if to := originOf(r.URL); to != h.origin {
		return nil, fmt.Errorf("the API server redirects to %s, which is not followed; put its right address into the kubeconfig", to)
	}
	return h.next.RoundTrip(r)
}

// origin is that of a server as [rest.Config] names it, where https is meant if
// nothing else is said.
func origin(server string) string {
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return "" // nothing is there; who uses the configuration is told why
	}
	return originOf(u)
}

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

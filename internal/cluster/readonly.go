// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// errWrite says that a request would have changed something.
var errWrite = errors.New("only reads are sent to a cluster from here")

// readOnly lets through what changes nothing.
type readOnly struct{ next http.RoundTripper }

// questions are the endpoints that take a POST and store nothing.
var questions = []string{
	"/apis/authentication.k8s.io/v1/selfsubjectreviews",
	"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
}

func (r readOnly) RoundTrip(request *http.Request) (*http.Response, error) {
	switch request.Method {
	case http.MethodGet, http.MethodHead:
		return r.next.RoundTrip(request)
	case http.MethodPost:
		for _, path := range questions {
			if strings.HasSuffix(request.URL.Path, path) {
				return r.next.RoundTrip(request)
			}
		}
	}
	return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, errWrite)
}

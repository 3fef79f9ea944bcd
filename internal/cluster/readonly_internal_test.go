// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOnlyReadsLeaveTheProcess(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Method+" "+r.URL.Path) }))
	defer server.Close()
	client := &http.Client{Transport: readOnly{http.DefaultTransport}}
	for _, c := range []struct {
		method, path string
		lets         bool
	}{
		{"GET", "/api/v1/namespaces/shop/configmaps/a", true},
		{"HEAD", "/version", true},
		{"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true},
		{"POST", "/k8s/clusters/c-1/apis/authentication.k8s.io/v1/selfsubjectreviews", true},
		{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", false},
		{"POST", "/api/v1/namespaces/shop/configmaps", false},
		{"PUT", "/api/v1/namespaces/shop/configmaps/a", false},
		{"PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", false},
		{"DELETE", "/api/v1/namespaces/shop", false},
	} {
		seen = nil
		request, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		if lets := err == nil && len(seen) == 1; lets != c.lets || !c.lets && !errors.Is(err, errWrite) {
			t.Errorf("%s %s: let through %t, want %t (%v)", c.method, c.path, lets, c.lets, err)
		}
	}
}

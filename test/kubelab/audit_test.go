// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"strings"
	"testing"
	"time"
)

func TestReadRequests(t *testing.T) {
	const log = `{"auditID":"a","stage":"ResponseComplete","verb":"get","user":{"username":"early"},"requestReceivedTimestamp":"2026-01-01T00:00:00.5Z"}
{"auditID":"b","stage":"ResponseStarted","verb":"watch","user":{"username":"u"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:01Z"}
{"auditID":"c","stage":"ResponseComplete","verb":"patch","user":{"username":"u"},"userAgent":"curl","requestURI":"/apis/apps/v1/namespaces/n/deployments/d/scale","objectRef":{"apiGroup":"apps","resource":"deployments","subresource":"scale","namespace":"n","name":"d"},"responseStatus":{"code":409},"requestReceivedTimestamp":"2026-01-01T00:00:02Z"}
{"auditID":"d","stage":"ResponseStarted","verb":"watch","user":{"username":"v"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:03Z"}
{"auditID":"b","stage":"ResponseComplete","verb":"watch","user":{"username":"u"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:01Z"}
{"auditID":"half-writ`
	since := time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)
	got, err := readRequests(strings.NewReader(log), since)
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{
		{User: "u", Verb: "watch", Code: 200, Received: since},
		{
			User: "u", UserAgent: "curl", Verb: "patch", URI: "/apis/apps/v1/namespaces/n/deployments/d/scale",
			Group: "apps", Resource: "deployments", Sub: "scale", Namespace: "n", Name: "d",
			Code: 409, Received: since.Add(time.Second),
		},
		{User: "v", Verb: "watch", Received: since.Add(2 * time.Second)},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d requests: %+v", len(got), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if _, err := readRequests(strings.NewReader("not JSON\n"), since); err == nil {
		t.Error("a line that is no event: no error")
	}
}

func TestParseReady(t *testing.T) {
	fields, err := parseReady("kubelab ready kubeconfig=/a/b server=https://127.0.0.1:1 took=2s\n")
	if err != nil || fields["server"] != "https://127.0.0.1:1" || fields["took"] != "2s" {
		t.Errorf("%v, %v", fields, err)
	}
	if _, err := parseReady("kubelab: something else\n"); err == nil {
		t.Error("another line passes for the ready line")
	}
}

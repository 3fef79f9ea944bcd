// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/test/slackserver"
)

func TestTakesAMessageAndShowsIt(t *testing.T) {
	s, err := slackserver.Listen(slackserver.Options{Channels: []string{"ops"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	handler, err := handler(s)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(handler)
	defer front.Close()
	post := url.Values{"token": {slackserver.Token}, "channel": {"ops"}, "text": {"*shop-web* diverged"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/api/chat.postMessage", strings.NewReader(post.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+slackserver.Token)
	if said := answer(t, request); !strings.Contains(said, `"ok":true`) {
		t.Fatal(said)
	}
	show, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if said := answer(t, show); !strings.Contains(said, "#ops") || !strings.Contains(said, "shop-web diverged") {
		t.Error(said)
	}
}

func answer(t *testing.T, r *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

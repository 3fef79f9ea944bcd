// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"net/http"
	"testing"
)

// What is asked with the credentials of the Git section is noticed, where they
// belong and where they don't: else nobody would see them follow a redirect.
func TestCredentialsAreNoticed(t *testing.T) {
	in := Input{Section: "git", Name: "plain"}
	s, err := serveScripts([]Input{in})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	ask := func(url string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(gitUser, gitPassword)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	ask(s.url(in))
	if !s.atHome.Load() || s.sawAuth.Load() {
		t.Errorf("at home %v, elsewhere %v, want at home alone", s.atHome.Load(), s.sawAuth.Load())
	}
	ask("http://" + s.other.Addr().String() + "/" + in.ID() + ".git")
	if !s.sawAuth.Load() {
		t.Error("credentials at another host are not noticed")
	}
}

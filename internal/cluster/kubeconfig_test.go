// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/cluster"
)

func TestAdvisoryC17KubeconfigsThatAreRefused(t *testing.T) {
	base := `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {%s}}]
users: [{name: u, user: {%s}}]
`
	const server = `server: "https://127.0.0.1:1"`
	dir := t.TempDir()
	for name, text := range map[string]string{"beside/token": "x", "token": "canary"} {
		file := filepath.Join(dir, "here", "..", name)
		if name == "beside/token" {
			file = filepath.Join(dir, "here", name)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../token", filepath.Join(dir, "here", "link")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ cluster, user, want string }{
		"a token":                {server, "token: x", ""},
		"a token file beside it": {server, "tokenFile: beside/token", ""},
		"exec":                   {server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}", "exec"},
		"exec of another":        {server, "token: x}}, {name: v, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}", "exec"},
		"auth-provider":          {server, "auth-provider: {name: gcp}", "auth-provider"},
		"insecure":               {server + ", insecure-skip-tls-verify: true", "token: x", "insecure-skip-tls-verify"},
		"another is insecure":    {server + "}}, {name: l, cluster: {" + server + ", insecure-skip-tls-verify: true", "token: x", "insecure-skip-tls-verify"},
		"http":                   {`server: "http://127.0.0.1:1"`, "token: x", "https"},
		"no server":              {"", "token: x", "has no server"},
		"a file of the machine":  {server, "tokenFile: /etc/hostname", "tokenFile"},
		"a file above":           {server, "tokenFile: ../token", "tokenFile"},
		"a link out":             {server, "tokenFile: link", "tokenFile"},
		"no certificate":         {server + ", certificate-authority-data: eA==", "token: x", "certificates"},
		"what is none":           {server, "token: x}}] canary", "it is none"},
	} {
		file := filepath.Join(dir, "here", "config")
		if err := os.WriteFile(file, fmt.Appendf(nil, base, c.cluster, c.user), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := cluster.Config(file)
		if err == nil && !config.DisableCompression {
			t.Errorf("%s: answers are compressed", name)
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := cluster.Config(filepath.Join(dir, "nowhere")); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("a kubeconfig that isn't there: %v", err)
	}
}

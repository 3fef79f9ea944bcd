// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// canary stands for a token that must be in no error.
const canary = "kanarienvogel-3fa9c1"

// FuzzKubeconfig: what is taken runs no program, trusts no server unseen and
// goes where it says; what is refused quotes no token.
func FuzzKubeconfig(f *testing.F) {
	base := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: \"https://127.0.0.1:1\"%s}}]\nusers: [{name: u, user: {%s}}]\n"
	for _, more := range [][2]string{
		{"", "token: " + canary},
		{"", "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}"},
		{"", "auth-provider: {name: gcp}"},
		{", insecure-skip-tls-verify: true", "token: x"},
		{", proxy-url: 'http://x'", "token: " + canary},
		{"", "username: a, password: " + canary},
		{"", "client-key-data: " + canary},
		{"", "token: [" + canary},
		{"", "as: admin, tokenFile: /etc/passwd"},
	} {
		f.Add(fmt.Appendf(nil, base, more[0], more[1]))
	}
	f.Add([]byte("&a [*a"))
	seed.Each(f, func(file seed.File) { f.Add(file.Data) }, "kubeconfig")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(dir, "config")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := cluster.Config(file)
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Fatalf("the token shows: %v", err)
			}
			return
		}
		if cfg.ExecProvider != nil || cfg.AuthProvider != nil || cfg.Insecure || cfg.Host == "" {
			t.Fatalf("taken: %#v", cfg.String())
		}
	})
}

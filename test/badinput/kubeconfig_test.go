// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// driveKubeconfig starts an applier and an auditor with each kubeconfig. A
// kubeconfig that were taken would find no bus: the key that they are given
// opens nothing. But for those that lead to a server of the input's own, by
// lines of
//
//	redirect plain      it redirects to another host, without TLS
//	redirect tls        or to one that its authority knows
//	page                it is something else: each answer is a page of HTML
//	stranger            its certificate is of another authority
//
// They are taken by the applier, whose log says what is wanted; the auditor asks
// nothing before there is something to audit.
func driveKubeconfig(t *testing.T, s *stage, inputs []Input) {
	ca := authority(t, s)
	s.each(t, inputs, func(t *testing.T, in Input) {
		if in.Parts["server"] != "" {
			s.meets(t, in)
			return
		}
		text, err := in.Text("kubeconfig")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "${ca}", ca)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, service := range []string{"applier", "auditor"} {
			s.refuses(t, in, service, file)
		}
	})
}

// authority is the cluster's certificate authority in base64.
func authority(t *testing.T, s *stage) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(s.Cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range config.Clusters {
		return base64.StdEncoding.EncodeToString(c.CertificateAuthorityData)
	}
	t.Fatal("no cluster in the cluster's kubeconfig")
	return ""
}

// refuses runs a service with a kubeconfig and holds its end to what is
// wanted.
func (s *stage) refuses(t *testing.T, in Input, service, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	creds := filepath.Join(filepath.Dir(file), "seed")
	args := []string{"--nats-url", "nats://127.0.0.1:1", "--nats-creds", creds, "--kubeconfig", file}
	if service == "auditor" {
		args = append(args, "--digest-key", filepath.Join(s.Dir, "data", "keys", "local.digest.key"))
	}
	out, err := exec.CommandContext(ctx, filepath.Join(programs, service), args...).CombinedOutput()
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) || exit.ExitCode() != in.Want.Exit {
		t.Errorf("%s: %v, want exit %d\n%s", service, err, in.Want.Exit, out)
	}
	text := string(out)
	for _, part := range in.Want.Says {
		if !strings.Contains(text, part) {
			t.Errorf("%s doesn't say %q:\n%s", service, part, text)
		}
	}
	if found := s.canaries.in(out); found != "" {
		t.Errorf("%s tells a secret: %s", service, found)
	}
	if strings.Contains(text, "goroutine ") || len(text) > 2*maxMessage {
		t.Errorf("%s says too much:\n%.3000s", service, text)
	}
}

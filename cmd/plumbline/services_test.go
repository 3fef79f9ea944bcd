// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// kubeconfigText reaches nothing.
const kubeconfigText = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
`

// parts are the services with all that they need but the bus.
func parts(t *testing.T) []service {
	t.Helper()
	o := upOptions{
		fleet: "https://git.example.com/fleet.git", fleetPath: ".", fleetBranch: "main", fleetInterval: bustest.Timeout,
		data: t.TempDir(), kubeconfig: filepath.Join(t.TempDir(), "config"),
	}
	o.auditorKubeconfig = o.kubeconfig
	o.slackChannel, o.slackTokenFile = "ops", filepath.Join(t.TempDir(), "slack.token")
	if err := os.WriteFile(o.slackTokenFile, []byte("xoxb-not-a-real-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := place(o.data).ensureKeys([]string{local}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.kubeconfig, []byte(kubeconfigText), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.services()
}

// begin runs a service on the bus with a key.
func (s service) begin(ctx context.Context, t *testing.T, url, key string, args ...string) (ready func() error, ended chan error) {
	t.Helper()
	fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	run := s.command(fs)
	if err := fs.Parse(slices.Concat([]string{"--nats-url", url, "--nats-creds", key}, s.args, args)); err != nil {
		t.Fatal(err)
	}
	env := s.env(bustest.Log(t))
	ended = make(chan error, 1)
	go func() { ended <- run(ctx, env) }()
	return env.Health.Ready, ended
}

// Without its key a service ends; with one that the bus doesn't take it says so
// where it is asked whether it is ready.
func TestAServiceWithoutTheRightKey(t *testing.T) {
	server := bustest.Start(t)
	for _, s := range parts(t) {
		t.Run(s.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
			defer cancel()
			_, ended := s.begin(ctx, t, server.URL(), filepath.Join(t.TempDir(), "missing.nk"))
			if err := <-ended; !errors.Is(err, bus.ErrKey) {
				t.Errorf("without a key it ends with %v", err)
			}
			ready, ended := s.begin(ctx, t, server.URL(), server.Config("reader").Creds)
			bustest.Eventually(t, "it says that its key is refused", func() bool {
				err := ready()
				return err != nil && strings.Contains(err.Error(), "the bus refuses this key")
			})
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("told to stop, it ends with %v", err)
			}
		})
	}
}

// without leaves a flag and its value out.
func without(args []string, flag string) []string {
	i := slices.Index(args, flag)
	return slices.Delete(slices.Clone(args), i, i+2)
}

// A flag that is missing, or whose value can't be, is a wrong call; a file that
// isn't there is not.
func TestAServiceTellsAWrongCall(t *testing.T) {
	wrong := map[string][]struct{ flag, value, says string }{
		"watcher": {
			{"--fleet", "", "--fleet is missing"},
			{"--fleet", "gopher://git.example.com", "--fleet"},
			{"--fleet-interval", "1ms", "want a second or more"},
			{"--fleet-path", "../up", "want a folder inside"},
			{"--mirrors", "", "--mirrors is missing"},
			{"--webhook-listen", ":1", "needs --webhook-secrets"},
			{"--source-key", "", "--source-key is missing: give the file with the key that sources are encrypted with, the renderer's too; 'plumbline keys init' makes it"},
		},
		"renderer": {
			{"--source-key", "", "--source-key is missing: give the file with the key that sources are encrypted with, the watcher's too; 'plumbline keys init' makes it"},
			{"--workers", "0", "want 1 to 16"},
			{"--timeout", "0s", "want more than 0s"},
			{"--memory", "1MiB", "want 64MiB or more"},
		},
		"applier": {{"--cluster", "", "--cluster is empty"}, {"--resync", "1ms", "want a second or more"}},
		"auditor": {{"--cluster", "", "--cluster is empty"}, {"--kubeconfig", "", "--kubeconfig is missing"}},
		"notifier": {
			{"--slack-channel", "", "--slack-channel is missing"},
			{"--slack-token-file", "", "--slack-token-file is missing"},
			{"--slack-url", "slack", "is no address"},
		},
	}
	for _, s := range parts(t) {
		for _, w := range append(wrong[s.name],
			struct{ flag, value, says string }{"--nats-creds", "", "--nats-creds is missing: give the file with the seed"},
			struct{ flag, value, says string }{"--nats-url", "", "--nats-url is missing"}) {
			t.Run(s.name+" "+w.flag+" "+w.value, func(t *testing.T) {
				_, ended := s.begin(t.Context(), t, "nats://127.0.0.1:1", "/nowhere.nk", w.flag, w.value)
				if err := <-ended; !process.IsUsage(err) || !strings.Contains(err.Error(), w.says) {
					t.Errorf("%v; want a wrong call, with %q in it", err, w.says)
				}
			})
		}
	}
	for _, s := range parts(t) {
		if s.name != "renderer" && s.name != "watcher" {
			continue
		}
		_, ended := s.begin(t.Context(), t, "nats://127.0.0.1:1", "/nowhere.nk", "--source-key", "/nowhere/source.key")
		if err := <-ended; process.IsUsage(err) || !strings.Contains(err.Error(), "/nowhere/source.key: no such file or directory; 'plumbline keys init' makes a key") {
			t.Errorf("%s without the file: %v", s.name, err)
		}
	}
}

// What a service can't do without is a wrong call of up, too.
func TestUpTellsAWrongCallOfAService(t *testing.T) {
	var stdout, stderr bytes.Buffer
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, []byte(kubeconfigText), 0o600); err != nil {
		t.Fatal(err)
	}
	code := run([]string{"up", "--fleet", "gopher://git.example.com", "--data", t.TempDir(), "--nats-port", "-1", "--kubeconfig", kubeconfig, "--auditor-kubeconfig", kubeconfig}, &stdout, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "Run 'plumbline up --help'") {
		t.Errorf("exit code %d: %s%s", code, &stdout, &stderr)
	}
}

func TestAnApplierWithoutAnIdentityWarns(t *testing.T) {
	s := parts(t)[2]
	fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	run := s.command(fs)
	if err := fs.Parse(append(without(s.args, "--age-identity"), "--nats-creds", "/nowhere.nk")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	env := s.env(slog.New(slog.NewTextHandler(&log, nil)))
	if err := run(t.Context(), env); !errors.Is(err, bus.ErrKey) {
		t.Errorf("it ends with %v", err)
	}
	if n := strings.Count(log.String(), "without --age-identity no sealed value can be opened"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("it is said %d times:\n%s", n, &log)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// parts are the services with all that they need but the bus.
func parts(t *testing.T) []service {
	t.Helper()
	o := upOptions{
		fleet: "https://git.example.com/fleet.git", fleetPath: ".", fleetBranch: "main", fleetInterval: bustest.Timeout,
		data: t.TempDir(), kubeconfig: filepath.Join(t.TempDir(), "config"),
	}
	o.auditorKubeconfig = o.kubeconfig
	if err := place(o.data).ensureKeys([]string{local}); err != nil {
		t.Fatal(err)
	}
	const kubeconfig = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
`
	if err := os.WriteFile(o.kubeconfig, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.services()
}

// begin runs a service on the bus with a key.
func (s service) begin(t *testing.T, ctx context.Context, url, key string) (ready func() error, ended chan error) {
	t.Helper()
	fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	run := s.command(fs)
	if err := fs.Parse(append([]string{"--nats-url", url, "--nats-creds", key}, s.args...)); err != nil {
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
			_, ended := s.begin(t, ctx, server.URL(), filepath.Join(t.TempDir(), "missing.nk"))
			if err := <-ended; !errors.Is(err, bus.ErrKey) {
				t.Errorf("without a key it ends with %v", err)
			}
			ready, ended := s.begin(t, ctx, server.URL(), server.Config("reader").Creds)
			bustest.Eventually(t, "it says that its key is refused", func() bool {
				err := ready()
				return err != nil && strings.Contains(err.Error(), "the bus refuses this key")
			})
			cancel()
			<-ended
		})
	}
}

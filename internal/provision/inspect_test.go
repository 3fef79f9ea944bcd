// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"testing"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

func TestInspect(t *testing.T) {
	s := bustest.Start(t)
	look := func(clusters ...string) (faults []string) {
		t.Helper()
		state, err := provision.Inspect(t.Context(), s.URL(), s.Config(provision.User).Creds, clusters, bustest.Log(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, stream := range state.Streams {
			if stream.Missing || stream.Differs {
				faults = append(faults, stream.Name)
			}
		}
		for _, c := range state.Consumers {
			if c.Missing || c.Differs {
				faults = append(faults, c.Name)
			}
		}
		return faults
	}
	if faults := look("local"); len(faults) > 0 {
		t.Errorf("just provisioned: %v", faults)
	}
	if faults := look("local", "far"); len(faults) != 2 {
		t.Errorf("a cluster that was not provisioned: %v", faults)
	}
	js := s.JetStream(t)
	stream, err := js.Stream(t.Context(), natsconfig.StreamBlobs)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Description = "changed by hand"
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.Backoff(t, "renderer", 1, 2)
	if faults := look("local"); len(faults) != 2 || faults[0] != natsconfig.StreamBlobs || faults[1] != "renderer" {
		t.Errorf("changed by hand: %v", faults)
	}
	if again, err := js.Stream(t.Context(), natsconfig.StreamBlobs); err != nil || again.CachedInfo().Config.Description != "changed by hand" {
		t.Errorf("looking has changed it: %v", err)
	}
}

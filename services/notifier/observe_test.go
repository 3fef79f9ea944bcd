// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

// Of all events, those are skipped that are of the progress of an application
// of which nothing was ever wrong that they could end.
func TestSkips(t *testing.T) {
	web := events.Address{Cluster: "local", Application: "web"}
	for kind, ends := range map[incident.Kind][]string{
		"":                   nil,
		incident.Render:      {"manifests.rendered", "manifests.unchanged"},
		incident.Commit:      {"commit.observed"},
		incident.Convergence: {"convergence.completed"},
		incident.Hold:        {"convergence.applied", "convergence.completed"},
		incident.Withdrawal:  {"commit.observed"},
	} {
		n := &notifier{known: map[incident.Scope]bool{{Kind: kind, Address: web}: true}}
		for i := range events.Types {
			e := &events.Types[i]
			want := slices.Contains(progress, e) && !slices.Contains(ends, e.Name())
			if got := n.skips(e, web); got != want {
				t.Errorf("known %q: %s is skipped: %t", kind, e.Name(), got)
			}
			if got := n.skips(e, events.Address{Cluster: "local", Application: "api"}); got != slices.Contains(progress, e) {
				t.Errorf("known %q of another: %s is skipped: %t", kind, e.Name(), got)
			}
		}
	}
}

// Whatever is skipped opens no incident, and the auditor reads it: what lies there
// and is no event is rejected by it.
func TestProgressIsReadByTheAuditor(t *testing.T) {
	consumers, err := natsconfig.Consumers([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	var auditor jetstream.ConsumerConfig
	for _, c := range consumers {
		if c.Name == "auditor-local" {
			if err := json.Unmarshal(c.JSON, &auditor); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range progress {
		if opened := incident.Opened(e, events.Address{Cluster: "local", Application: "web"}); len(opened) > 0 {
			t.Errorf("%s opens %v", e.Name(), opened)
		}
		if e.Noun == "convergence" && slices.Contains(auditor.FilterSubjects, events.Root+".convergence.*.local.*") {
			continue
		}
		if !slices.Contains(auditor.FilterSubjects, e.Filter("local")) {
			t.Errorf("the auditor doesn't read %s: %q", e.Name(), auditor.FilterSubjects)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

func TestVersions(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	said := func(version string) events.Event { return events.Event{Version: version, Time: now.Add(-time.Hour)} }
	for name, c := range map[string]struct {
		here *running
		last map[string]events.Event
		want verdict
		says string
	}{
		"nothing was ever said": {nil, nil, verdictOK, "the command line is v2"},
		"all of one": {
			&running{Version: "v2"},
			map[string]events.Event{"plumbline://watcher": said("v2"), "plumbline://applier/local": said("v2")},
			verdictOK, "the command line is v2, as are applier/local, watcher",
		},
		"an older one, and one that doesn't say": {
			nil,
			map[string]events.Event{"plumbline://watcher": said("v1"), "plumbline://renderer": said(""), "plumbline://auditor/local": said("v2")},
			verdictWarn, "the command line is v2, as are auditor/local; renderer was of an older version when it last spoke, 60m ago; watcher was v1 when it last spoke, 60m ago",
		},
		"what runs here": {&running{Version: "v1"}, nil, verdictWarn, "the command line is v2; what runs here is v1"},
	} {
		f := versions("v2", c.here, c.last, now)
		if f.Verdict != c.want || f.Message != c.says || (f.Remedy == "") != (c.want == verdictOK) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

func TestCommitTimeCanAlwaysBeWritten(t *testing.T) {
	zone := func(seconds int) *time.Location { return time.FixedZone("", seconds) }
	for _, when := range []time.Time{
		{},
		noon, noon.In(zone(2 * 3600)), noon.In(zone(-12 * 3600)),
		noon.In(zone(99*3600 + 99*60)), noon.In(zone(-24 * 3600)), noon.In(zone(61)),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(1<<62, 0), time.Unix(-1<<62, 0),
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC).In(zone(2 * 3600)),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC).In(zone(-2 * 3600)),
	} {
		got := events.CommitTime(when)
		text, err := json.Marshal(got)
		if err != nil {
			t.Errorf("%v: %v", when, err)
			continue
		}
		var back time.Time
		if err := json.Unmarshal(text, &back); err != nil || !back.Equal(got) {
			t.Errorf("%v is written %s and read %v (%v)", when, text, back, err)
		}
		if !got.IsZero() && !got.Equal(when) {
			t.Errorf("%v becomes %v", when, got)
		}
	}
	if got := events.CommitTime(noon.In(zone(99 * 3600))); !got.Equal(noon) {
		t.Errorf("an impossible offset changes the time: %v", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"testing"
	"time"
)

func TestStalled(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	const timeout = time.Minute
	at := func(sequence uint64, digest string, seconds int) Milestone {
		return Milestone{Sequence: sequence, Digest: digest, At: start.Add(time.Duration(seconds) * time.Second)}
	}
	seen := Progress{Revision: 9, Observed: start, Timeout: timeout}
	rendered := seen
	rendered.Rendered, rendered.Bundle = at(9, "A", 1), 9
	with := func(p Progress, change func(*Progress)) Progress { change(&p); return p }
	for name, c := range map[string]struct {
		progress Progress
		early    State // just before the deadline
		deadline int   // in seconds; 0: there is none
		how      string
		stage    Stage
	}{
		"nothing observed":     {Progress{}, Wait, 0, "", ""},
		"observed":             {seen, Wait, 60, "", StageRender},
		"rendered":             {rendered, Wait, 61, "", StageApply},
		"render failed":        {with(seen, func(p *Progress) { p.RenderFailed = 9 }), Same, 0, Reported, ""},
		"an older one failed":  {with(seen, func(p *Progress) { p.RenderFailed = 8 }), Wait, 60, "", StageRender},
		"observe only":         {with(rendered, func(p *Progress) { p.Observe = true }), Same, 0, "", ""},
		"observe, unrendered":  {with(seen, func(p *Progress) { p.Observe = true }), Wait, 60, "", StageRender},
		"applied, no health":   {with(rendered, func(p *Progress) { p.Applied = at(9, "A", 5) }), Wait, 71, "", StageHealth},
		"completed":            {with(rendered, func(p *Progress) { p.Completed = at(9, "A", 5) }), Same, 0, "", ""},
		"failed":               {with(rendered, func(p *Progress) { p.Failed = at(9, "A", 5) }), Same, 0, Reported, ""},
		"failed, tried again":  {with(rendered, func(p *Progress) { p.Failed, p.Applied = at(9, "A", 5), at(10, "A", 8) }), Wait, 74, "", StageHealth},
		"applied, then failed": {with(rendered, func(p *Progress) { p.Applied, p.Failed = at(9, "A", 5), at(9, "A", 8) }), Same, 0, Reported, ""},
		"failed after another": {with(rendered, func(p *Progress) { p.Applied, p.Failed = at(10, "B", 5), at(9, "A", 8) }), Same, 0, Reported, ""},
		"observed again later": {with(rendered, func(p *Progress) { p.Observed = start.Add(30 * time.Second) }), Wait, 90, "", StageApply},
		"held":                 {with(rendered, func(p *Progress) { p.Held = at(9, "A", 5) }), Same, 0, Reported, ""},
		"superseded":           {with(rendered, func(p *Progress) { p.Superseded = 9 }), Same, 0, Reported, ""},
		"unchanged":            {with(rendered, func(p *Progress) { p.Bundle, p.Completed = 5, at(5, "A", -100) }), Same, 0, "", ""},
		"unchanged, in flight": {with(rendered, func(p *Progress) { p.Bundle, p.Completed = 7, at(5, "A", -100) }), Wait, 61, "", StageApply},
		"A, B, A":              {with(rendered, func(p *Progress) { p.Completed = at(5, "A", -100) }), Wait, 61, "", StageApply},
		"another digest":       {with(rendered, func(p *Progress) { p.Completed = at(9, "B", 5) }), Wait, 61, "", StageApply},
		"in place already":     {with(rendered, func(p *Progress) { p.InPlace = true }), Same, 0, "", ""},
		"in place, unhealthy":  {with(rendered, func(p *Progress) { p.InPlace, p.Applied = true, at(9, "A", 5) }), Wait, 71, "", StageHealth},
	} {
		deadline := start.Add(time.Duration(c.deadline) * time.Second)
		v, stage, wake := stalled(c.progress, deadline.Add(-time.Millisecond))
		if v.State != c.early || v.How != c.how || stage != c.stage {
			t.Errorf("%s: %+v waiting for %q", name, v, stage)
		}
		if c.deadline == 0 {
			continue
		}
		if !wake.Equal(deadline) {
			t.Errorf("%s: wakes %s after the start, want %d s", name, wake.Sub(start), c.deadline)
		}
		if v, _, _ := stalled(c.progress, deadline); v.State != Differs {
			t.Errorf("%s: %+v at the deadline", name, v)
		}
	}
}

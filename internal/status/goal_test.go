// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
)

func TestGoals(t *testing.T) {
	const waiting, met, opposite = status.Waiting, status.Met, status.Opposite
	good := func() *history { return log().observed(a).rendered(x).completed(x) }
	for name, c := range map[string]struct {
		h      *history
		aim    status.Aim
		commit string
		want   status.Outcome
		says   string
	}{
		"nothing yet":                   {log(), status.ForConverged, "", waiting, `nothing is known of an application "web"`},
		"on its way":                    {log().observed(a).rendered(x), status.ForConverged, "", waiting, "web is converging at aaaa: waits for the applier"},
		"converged":                     {good(), status.ForConverged, "", met, "web is converged at aaaa"},
		"this commit":                   {good(), status.ForConverged, "aa", met, "web is converged at aaaa"},
		"not seen":                      {good(), status.ForConverged, b, waiting, "commit bbbb is not observed yet; the newest is aaaa"},
		"unchanged":                     {good().observed(b).unchanged(x), status.ForConverged, b, met, "converged at bbbb"},
		"by a newer one":                {good().observed(b).rendered(y).completed(y), status.ForConverged, a, met, "converged at bbbb, which is newer than aaaa"},
		"newer is on its way":           {good().observed(b), status.ForConverged, a, waiting, "converging at bbbb"},
		"failed, any commit":            {log().observed(a).renderFailed(), status.ForConverged, "", waiting, "web is failed at aaaa"},
		"failed, this commit":           {log().observed(a).renderFailed(), status.ForConverged, a, opposite, "web failed at aaaa: deploy/web.yaml:7: no YAML"},
		"failed, then retried":          {log().observed(a).rendered(x).failed(x).applied(x), status.ForConverged, a, waiting, "converging"},
		"failed, then a newer":          {log().observed(a).renderFailed().observed(b).rendered(x).completed(x), status.ForConverged, a, met, "converged at bbbb, which is newer than aaaa"},
		"failure wanted":                {log().observed(a).renderFailed(), status.ForFailed, "", met, "web is failed at aaaa"},
		"failure of this commit":        {log().observed(a).renderFailed().observed(b).rendered(x), status.ForFailed, a, met, "web failed at aaaa"},
		"failure wanted, converged":     {good(), status.ForFailed, a, opposite, "web converged at aaaa"},
		"failure wanted, any commit":    {good(), status.ForFailed, "", waiting, "web is converged"},
		"held":                          {good().observed(b).rendered(y).held(y, hold), status.ForHeld, b, met, "web is held at bbbb: 5 of 6"},
		"held while converging":         {good().observed(b).rendered(y).held(y, hold), status.ForConverged, b, waiting, "web is held"},
		"diverged":                      {good().detected("k", healed), status.ForDiverged, "", met, "is diverged at"},
		"diverged is not converged":     {good().detected("k", healed), status.ForConverged, "", waiting, "web is diverged"},
		"not diverged":                  {good(), status.ForDiverged, "", waiting, "web is converged"},
		"resolved":                      {good().detected("k", healed).resolved("k"), status.ForResolved, "", met, "without an open divergence"},
		"not resolved":                  {good().detected("k", healed), status.ForResolved, "", waiting, "web is diverged"},
		"converged, source unreachable": {good().unreachable(), status.ForConverged, a, met, "converged at aaaa"},
		"converged, declaration faulty": {good().invalid("f", "web"), status.ForConverged, a, met, "converged at aaaa"},
		"unreachable, any commit":       {good().unreachable("web"), status.ForConverged, "", waiting, "web is unreachable at aaaa: repository shop: it refuses our credentials"},
		"reachable again":               {good().unreachable("web").recovered(), status.ForConverged, "", met, "web is converged at aaaa"},
		"faulty, any commit":            {good().invalid("f", "web"), status.ForConverged, "", waiting, "web is held at aaaa: its declaration is invalid"},
		"faulty by this commit":         {good().invalid(b, "web"), status.ForConverged, b, opposite, "the declaration of web is invalid at bbbb: apps.yaml:4: spec.source.path: is missing"},
		"faulty by another's":           {good().invalid(b, "shop"), status.ForConverged, "", met, "web is converged at aaaa"},
		"moved to another cluster": {
			good().withdrawn(events.ActionPruned, "").add(events.Address{Cluster: "far", Application: "web"}, events.Event{},
				&events.CommitObserved{Revision: events.Revision{Commit: b}}), status.ForConverged, "", waiting, "web is converging at bbbb",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := status.Goal{Application: "web", For: c.aim, Commit: c.commit}.Look(c.h.view())
			if got != c.want || !strings.Contains(why, c.says) {
				t.Errorf("Look = %d, %q; want %d, %q in it", got, why, c.want, c.says)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// declaredFleet is what the log tells of applications and sources; it is read
// once for all checks.
type declaredFleet struct {
	applications []*explain.Application
	repositories map[string]repository
	clusters     []string
	fleets       map[string]events.Event // cluster → fleet.observed
	rejected     []events.Event
}

// repository is a declared repository and when something of it was last seen.
type repository struct {
	url  string
	seen time.Time
	down *events.SourceUnreachable // nil: it could be read
}

func (x *examination) declared(ctx context.Context) (*declaredFleet, error) {
	all, err := fleetOf(ctx, x.conn)
	if err != nil {
		return nil, err
	}
	f := &declaredFleet{applications: all, repositories: map[string]repository{}, fleets: map[string]events.Event{}}
	records, err := x.conn.Latest(ctx, "plumbline.v1.commit.observed.*.*", "plumbline.v1.source.*.>", "plumbline.v1.fleet.*.>")
	if err != nil {
		return nil, err
	}
	on := map[string]bool{}
	for _, r := range records {
		if r.Err != nil {
			continue
		}
		e := r.Event
		if e.Cluster != "" {
			on[e.Cluster] = true
		}
		switch p := e.Data.(type) {
		case *events.CommitObserved:
			known := f.repositories[p.Declaration.Source.Repository]
			if known.url = p.Declaration.Source.URL; e.Time.After(known.seen) {
				known.seen = e.Time
			}
			f.repositories[p.Declaration.Source.Repository] = known
		case *events.SourceUnreachable:
			f.repositories[p.Repository] = repository{url: p.URL, seen: f.repositories[p.Repository].seen, down: p}
		case *events.SourceRecovered:
			f.repositories[p.Repository] = repository{url: p.URL, seen: e.Time}
		case *events.FleetObserved:
			f.fleets[e.Cluster] = e
		case *events.FleetRejected:
			f.rejected = append(f.rejected, e)
		}
	}
	f.clusters = slices.Sorted(maps.Keys(on))
	return f, nil
}

// clusterNames are the clusters to check: those that were named, or those that
// run here, or those of the log.
func (x *examination) clusterNames(ctx context.Context) ([]string, error) {
	if len(x.clusters) > 0 {
		return x.clusters, nil
	}
	if x.running != nil && len(x.running.Clusters) > 0 {
		return x.running.Clusters, nil
	}
	fleet, err := x.fleet()
	if err != nil || len(fleet.clusters) == 0 {
		return []string{local}, err
	}
	return fleet.clusters, nil
}

// checkGit tells what the watcher last said of each repository.
func (x *examination) checkGit(ctx context.Context) []finding {
	fleet, err := x.fleet()
	if err != nil {
		return failed("git", "", err, "")
	}
	if len(fleet.repositories) == 0 {
		return []finding{{
			Check: "git", Verdict: verdictWarn, Message: "no commit of any repository was ever seen",
			Remedy: "look at the watcher's log: does it reach the fleet's repository? 'plumbline sync' has it look now",
		}}
	}
	var found []finding
	for _, name := range slices.Sorted(maps.Keys(fleet.repositories)) {
		r := fleet.repositories[name]
		f := finding{Check: "git", Subject: name, Verdict: verdictOK, Message: fmt.Sprintf("could be read at the watcher's last look; the last that came of %s is %s old", or(r.url, "it"), age(time.Since(r.seen)))}
		if r.down != nil {
			f.Verdict = verdictFail
			f.Message = fmt.Sprintf("%s can't be read for %s: %s (%s)", or(r.url, "it"), age(time.Since(r.down.Since)), r.down.Message, r.down.Reason)
			f.Remedy = gitRemedy(r.down.Reason)
		}
		found = append(found, f)
	}
	return found
}

func gitRemedy(reason events.Reason) string {
	switch reason {
	case events.ReasonUnauthorized:
		return "give the watcher valid credentials for it (--git-credentials), then 'plumbline sync'"
	case events.ReasonRefMissing, events.ReasonEmpty:
		return "push what the application declares, or declare another branch, tag or commit"
	case events.ReasonRedirected:
		return "declare the URL that it has moved to"
	}
	return "try 'git ls-remote' from where the watcher runs; its applications stay as they are meanwhile"
}

// checkFleet tells which declarations are refused now.
func (x *examination) checkFleet(ctx context.Context) []finding {
	fleet, err := x.fleet()
	if err != nil {
		return failed("fleet", "", err, "")
	}
	if len(fleet.fleets) == 0 {
		return []finding{{Check: "fleet", Verdict: verdictWarn, Message: "no list of applications was ever published", Remedy: "look at the watcher's log: does it reach the fleet's repository?"}}
	}
	commits := map[string]bool{}
	applications := 0
	for _, e := range fleet.fleets {
		p := e.Data.(*events.FleetObserved)
		commits[p.Commit] = true
		applications += p.Count
	}
	var found []finding
	for _, e := range fleet.rejected {
		p := e.Data.(*events.FleetRejected)
		if commits[p.Commit] && len(p.Problems) > 0 {
			found = append(found, finding{
				Check: "fleet", Subject: strings.TrimSpace(p.Kind + " " + p.Name), Verdict: verdictFail, Message: rejection(p),
				Remedy: fmt.Sprintf("correct %s in the fleet's repository; what it declared before stays meanwhile", p.File),
			})
		}
	}
	if len(found) > 0 {
		return found
	}
	return []finding{{Check: "fleet", Verdict: verdictOK, Message: fmt.Sprintf("%s declared, none refused", count(applications, "application"))}}
}

// checkQuarantine tells which inputs are set aside: those that nothing newer
// from the same service has lifted since.
func (x *examination) checkQuarantine(ctx context.Context) []finding {
	records, err := x.conn.Latest(ctx, "plumbline.v1.message.rejected.*.*.*")
	if err != nil {
		return failed("quarantine", "", err, "")
	}
	var found []finding
	for _, r := range records {
		p, ok := r.Event.Data.(*events.MessageRejected)
		if r.Err != nil || !ok {
			continue
		}
		lifted, err := x.lifted(ctx, r.Event)
		if err != nil {
			return failed("quarantine", "", err, "")
		}
		if lifted {
			continue
		}
		found = append(found, finding{
			Check: "quarantine", Subject: or(r.Event.Application, "-"), Verdict: verdictWarn,
			Message: fmt.Sprintf("the %s set aside event %d (%s), %s ago: %s", p.Service, p.Stored, p.Reason, age(time.Since(r.Event.Time)), p.Message),
			Remedy:  "a newer revision lifts it; 'plumbline dead-letters list' shows it, and 'retry' asks for it again",
		})
	}
	if len(found) == 0 {
		return []finding{{Check: "quarantine", Verdict: verdictOK, Message: "no input is set aside"}}
	}
	return found
}

// lifted reports whether the service has said something of the application
// since it set an input aside.
func (x *examination) lifted(ctx context.Context, e events.Event) (bool, error) {
	if e.Application == "" {
		return false, nil
	}
	at := "." + events.EncodeToken(e.Cluster) + "." + events.EncodeToken(e.Application)
	later, err := x.conn.Latest(ctx, "plumbline.v1.*.*"+at, "plumbline.v1.divergence.*"+at+".*")
	if err != nil {
		return false, err
	}
	for _, r := range later {
		if r.Err == nil && r.Event.Source == e.Source && r.Event.Stored > e.Stored {
			return true, nil
		}
	}
	return false, nil
}

// emitted are the subjects by which each service tells its version.
var emitted = []string{
	"plumbline.v1.fleet.observed.>", "plumbline.v1.manifests.*.>", "plumbline.v1.convergence.applied.>",
	"plumbline.v1.divergence.*.>", "plumbline.v1.alert.*.>",
}

// checkVersions compares the versions of the command line, of what runs next
// to it, and of the services, as each says it in its events.
func (x *examination) checkVersions(ctx context.Context) []finding {
	records, err := x.conn.Latest(ctx, emitted...)
	if err != nil {
		return failed("version", "", err, "")
	}
	last := map[string]events.Event{} // by source
	for _, r := range records {
		if r.Err == nil && r.Event.Stored >= last[r.Event.Source].Stored {
			last[r.Event.Source] = r.Event
		}
	}
	return []finding{versions(process.Version(), x.running, last, time.Now())}
}

// versions judges the versions; last are the services' newest events by source.
func versions(mine string, here *running, last map[string]events.Event, now time.Time) finding {
	f := finding{Check: "version", Verdict: verdictOK, Message: "the command line is " + mine}
	var same, others []string
	if here != nil && here.Version != "" && here.Version != mine {
		others = append(others, "what runs here is "+here.Version)
	}
	for _, source := range slices.Sorted(maps.Keys(last)) {
		e, name := last[source], strings.TrimPrefix(source, "plumbline://")
		if e.Version == mine {
			same = append(same, name)
			continue
		}
		others = append(others, fmt.Sprintf("%s was %s when it last spoke, %s ago", name, or(e.Version, "of an older version"), age(now.Sub(e.Time))))
	}
	if len(same) > 0 {
		f.Message += ", as are " + strings.Join(same, ", ")
	}
	if len(others) > 0 {
		f.Verdict, f.Message = verdictWarn, f.Message+"; "+strings.Join(others, "; ")
		f.Remedy = "use one version for all: restart the older ones from the same build; each says its own with its next event"
	}
	return f
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// one measures a commit that changes one object of one application, a webhook
// after it.
func (s *scene) one(ctx context.Context) error {
	for round := range s.rounds {
		i := round * 7 % s.n
		if err := s.rawOne(ctx, "one", i); err != nil {
			return err
		}
		from, before := time.Now(), s.usage.now()
		mark, marker := s.rig.Bus.Mark(), s.marker()
		pushed, err := s.push(ctx, s.repo, map[string]string{file(i, "configmap"): object("configmap", "web", marker)})
		if err != nil {
			return err
		}
		seen, err := s.observer.all(ctx, marker, []place{{"configmap", application(i), "web"}})
		if err != nil {
			return err
		}
		s.report.add("one", s.n, seen[0].Sub(pushed))
		if round == 0 || round == s.rounds-1 {
			// Every other application's revision ends as unchanged, too.
			if _, err := s.eachSaid(ctx, mark, rendered, s.n); err != nil {
				return err
			}
			if err := s.settle(ctx); err != nil {
				return err
			}
			if err := s.requests(ctx, "one, requests", from); err != nil {
				return err
			}
		} else if err := s.settle(ctx); err != nil {
			return err
		}
		s.report.used("one", s.n, before, s.usage.now())
	}
	return nil
}

// pollInterval is what poll mode is measured at.
const pollInterval = 5 * time.Second

// poll measures a commit that no webhook tells of, at phases spread over the
// interval.
func (s *scene) poll(ctx context.Context) error {
	if err := s.interval(ctx, pollInterval.String()); err != nil {
		return err
	}
	rounds := max(3, s.rounds/3)
	for round := range rounds {
		if err := pause(ctx, pollInterval*time.Duration(round)/time.Duration(rounds)); err != nil {
			return err
		}
		i, marker, before := round%s.n, s.marker(), s.usage.now()
		pushed, err := s.pushSilently(ctx, s.repo, map[string]string{file(i, "configmap"): object("configmap", "web", marker)})
		if err != nil {
			return err
		}
		seen, err := s.observer.all(ctx, marker, []place{{"configmap", application(i), "web"}})
		if err != nil {
			return err
		}
		s.report.add("poll", s.n, seen[0].Sub(pushed))
		s.report.used("poll", s.n, before, s.usage.now())
	}
	return s.interval(ctx, "10m")
}

// interval changes how often the repository is polled, and returns when all
// that follows from it is done.
func (s *scene) interval(ctx context.Context, interval string) error {
	if _, err := s.push(ctx, s.rig.Fleet, map[string]string{"fleet.yaml": declarations(s.repo, s.n, interval)}); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	return s.settle(ctx)
}

// all measures a commit that changes one object in every application.
func (s *scene) all(ctx context.Context) error {
	runs := s.runs
	if s.n > 100 {
		runs = 1
	}
	for run := range runs {
		if err := s.rawAll(ctx, run); err != nil {
			return err
		}
		from, before := time.Now(), s.usage.now()
		mark, marker := s.rig.Bus.Mark(), s.marker()
		pushed, err := s.push(ctx, s.repo, s.changed(s.n, marker))
		if err != nil {
			return err
		}
		seen, err := s.observer.all(ctx, marker, placesOf(s.n, "web", "configmap"))
		if err != nil {
			return err
		}
		s.spread("all", seen, pushed, s.report.add)
		if _, err := s.eachSaid(ctx, mark, completed, s.n); err != nil {
			return err
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
		if err := s.requests(ctx, "all, requests", from); err != nil {
			return err
		}
		s.report.used("all", s.n, before, s.usage.now())
	}
	return nil
}

// changed is a commit that gives the ConfigMaps of n applications a marker.
func (s *scene) changed(n int, marker string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[file(i, "configmap")] = object("configmap", "web", marker)
	}
	return files
}

// spread adds the median and the last of some times.
func (s *scene) spread(measure string, seen []time.Time, from time.Time, add func(string, int, time.Duration)) {
	slices.SortFunc(seen, time.Time.Compare)
	add(measure+", p50", s.n, seen[(len(seen)-1)/2].Sub(from))
	add(measure+", last", s.n, seen[len(seen)-1].Sub(from))
}

// nothing measures a commit that changes nothing that any application reads.
func (s *scene) nothing(ctx context.Context) error {
	for run := range s.rounds {
		if err := s.settle(ctx); err != nil {
			return err
		}
		from, before, mark := time.Now(), s.usage.now(), s.rig.Bus.Mark()
		if _, err := s.push(ctx, s.repo, map[string]string{"README.md": fmt.Sprintf("Still the same, %d.\n", run)}); err != nil {
			return err
		}
		if _, err := s.eachSaid(ctx, mark, rendered, s.n); err != nil {
			return err
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
		now := s.usage.now()
		if err := s.requests(ctx, "nothing, requests", from); err != nil {
			return err
		}
		s.report.count("nothing, CPU", s.n, sum(since(before, now)).Seconds())
		s.report.used("nothing", s.n, before, now)
	}
	return nil
}

// A train of commits, each of which changes one object in some applications.
const (
	trainCommits      = 50
	trainApplications = 20
	trainTime         = 10 * time.Second
)

// train measures commits that come faster than they need be applied.
func (s *scene) train(ctx context.Context) error {
	for range s.runs {
		if err := s.trainOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) trainOnce(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	from, mark, before := time.Now(), s.rig.Bus.Mark(), s.usage.now()
	var marker string
	var last time.Time
	for c := range trainCommits {
		if err := pause(ctx, time.Until(from.Add(trainTime*time.Duration(c)/trainCommits))); err != nil {
			return err
		}
		marker = s.marker()
		var err error
		if last, err = s.push(ctx, s.repo, s.changed(trainApplications, marker)); err != nil {
			return err
		}
	}
	seen, err := s.observer.all(ctx, marker, placesOf(trainApplications, "web", "configmap"))
	if err != nil {
		return err
	}
	s.report.add("train", s.n, slices.MaxFunc(seen, time.Time.Compare).Sub(last))
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.report.used("train", s.n, before, s.usage.now())
	if err := s.trainToll(ctx, from, mark); err != nil {
		return err
	}
	return s.rawLast(ctx, "train", trainApplications)
}

// trainToll counts what a train came to, and the requests that it took.
func (s *scene) trainToll(ctx context.Context, from time.Time, mark int) error {
	asked, err := s.asked(ctx, from)
	if err != nil {
		return err
	}
	stints := stintsOf(s.rig.Bus.Since(mark))
	outcomes := map[string]float64{}
	for _, st := range stints {
		outcomes[st.outcome]++
	}
	toll := tollOf(chargesOf(asked, stints))
	s.report.count("train, applied", s.n, outcomes["convergence.applied"])
	s.report.count("train, superseded", s.n, outcomes["convergence.superseded"])
	s.report.count("train, requests", s.n, float64(len(asked)))
	s.report.count("train, changes", s.n, float64(toll.changes))
	s.report.count("train, records", s.n, float64(toll.records))
	s.report.count("train, others", s.n, float64(toll.others))
	s.report.count("train, requests of superseded revisions", s.n, float64(toll.superseded))
	s.report.Named = append(s.report.Named, toll.named...)
	return nil
}

// kill measures how long a restarted applier takes when the one before was
// killed while it applied a commit that changes every application.
func (s *scene) kill(ctx context.Context) error {
	const killed = 30
	for range s.runs {
		mark, marker, before := s.rig.Bus.Mark(), s.marker(), s.usage.now()
		if _, err := s.push(ctx, s.repo, s.changed(s.n, marker)); err != nil {
			return err
		}
		places := placesOf(s.n, "web", "configmap")
		if _, err := s.observer.wait(ctx, marker, killed, places); err != nil {
			return err
		}
		if err := s.rig.Kill("applier"); err != nil {
			return err
		}
		delete(before, "applier") // the new one begins with nothing
		applied, err := s.observer.wait(ctx, marker, 0, places)
		if err != nil {
			return err
		}
		s.report.count("kill, applied", s.n, float64(len(applied)))
		started := time.Now()
		if err := s.rig.Start("applier"); err != nil {
			return err
		}
		seen, err := s.observer.all(ctx, marker, places)
		if err != nil {
			return err
		}
		s.report.add("kill, seen", s.n, slices.MaxFunc(seen, time.Time.Compare).Sub(started))
		said, err := s.eachSaid(ctx, mark, completed, s.n)
		if err != nil {
			return err
		}
		s.report.add("kill, said", s.n, said.Sub(started))
		if err := s.settle(ctx); err != nil {
			return err
		}
		s.report.used("kill", s.n, before, s.usage.now())
		if err := s.rawLast(ctx, "kill, seen", s.n-len(applied)); err != nil {
			return err
		}
	}
	return nil
}

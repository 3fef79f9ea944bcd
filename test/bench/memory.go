// SPDX-License-Identifier: Apache-2.0

package main

import "context"

const mib = 1 << 20

// memory measures what Plumbline holds at most while it converges everything
// and takes one commit that changes it all, and what is left of that when
// nothing has happened for a while.
func (s *scene) memory(ctx context.Context) error {
	how := "services"
	if s.together {
		how = "up"
	}
	mark, marker := s.rig.Bus.Mark(), s.marker()
	if _, err := s.push(ctx, s.repo, s.changed(s.n, marker)); err != nil {
		return err
	}
	if _, err := s.eachSaid(ctx, mark, completed, s.n); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	peak := s.usage.peaks() // since the scene was up
	s.report.count("memory "+how+", peak", s.n, float64(peak[""])/mib)
	for name, bytes := range peak {
		if name != "" {
			s.report.part("memory "+how+", peak", s.n, name, float64(bytes)/mib)
		}
	}
	s.progress("idle for %s", s.idle)
	before := s.usage.now()
	if err := pause(ctx, s.idle); err != nil {
		return err
	}
	now := s.usage.now()
	var all int64
	for name, at := range now {
		all += at.Resident
		s.report.part("memory "+how+", idle", s.n, name, float64(at.Resident)/mib)
	}
	s.report.count("memory "+how+", idle", s.n, float64(all)/mib)
	s.report.count("memory "+how+", idle CPU per minute", s.n, sum(since(before, now)).Seconds()*60/s.idle.Seconds())
	return nil
}

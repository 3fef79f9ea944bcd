// SPDX-License-Identifier: Apache-2.0

package faults

// checkLoss decides I1 at every rest of a history.
func checkLoss(h History) []finding {
	var found []finding
	view := newGitView()
	for i, r := range h {
		switch {
		case r.Ref != nil:
			view.take(r.Ref)
		case r.Quiet != nil:
			for _, p := range view.problems(r.Quiet.Live) {
				found = append(found, finding{"I1", i, p.String()})
			}
			if r.Quiet.Late != "" && len(view.problems(r.Quiet.Live)) == 0 {
				found = append(found, finding{"I1", i, "it took too long to come to rest: " + r.Quiet.Late})
			}
			view.quiet(r.Quiet.Live)
		}
	}
	return found
}

// checkLeaks decides I6 of what the search found.
func checkLeaks(h History) []finding {
	var found []finding
	for i, r := range h {
		if r.Leak != nil {
			found = append(found, finding{"I6", i, r.Leak.Canary + " is in " + r.Leak.Where})
		}
	}
	return found
}

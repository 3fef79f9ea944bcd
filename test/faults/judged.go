// SPDX-License-Identifier: Apache-2.0

package faults

// Judged is how much of a history the checker could decide. A check that skips
// what it knows too little of finds nothing wrong, and proves nothing.
type Judged struct {
	Writes  Tally `json:"writes"`  // of declarations, by I2
	Deletes Tally `json:"deletes"` // that were not the workload's own, by I4
	Fences  Tally `json:"fences"`  // by I2
}

// Tally counts what was decided of one sort of thing, and what was not.
type Tally struct {
	Judged int `json:"judged"`
	Lost   int `json:"lost"` // not, in a round that takes away the log or the cluster's past, and with it what is to be known
	Open   int `json:"open"` // not, in any other
}

// mostOpen is how many of 100 may not be judged where nothing was taken away.
const mostOpen = 5

// Thin says that too little was judged to prove anything.
func (t Tally) Thin() bool {
	return t.Judged == 0 || t.Open*100 > (t.Judged+t.Open)*mostOpen
}

func (t *Tally) add(judged, lossy bool) {
	switch {
	case judged:
		t.Judged++
	case lossy:
		t.Lost++
	default:
		t.Open++
	}
}

// Add adds what was judged in another history.
func (j *Judged) Add(o Judged) {
	for _, pair := range [][2]*Tally{{&j.Writes, &o.Writes}, {&j.Deletes, &o.Deletes}, {&j.Fences, &o.Fences}} {
		pair[0].Judged += pair[1].Judged
		pair[0].Lost += pair[1].Lost
		pair[0].Open += pair[1].Open
	}
}

// Judge counts what the checks could decide of a history.
func Judge(h History) Judged {
	var j Judged
	_, j.Writes = content(h)
	_, j.Deletes = deletes(h)
	lossy := lossyRounds(h)
	for i, r := range h {
		if r.Inventory != nil && !r.Inventory.Gone {
			j.Fences.add(!r.Inventory.Unread, lossy[i])
		}
	}
	return j
}

// lossyRounds says of each record whether it is of a round whose fault takes
// something away for good.
func lossyRounds(h History) []bool {
	lossy := make([]bool, len(h))
	now := false
	for i, r := range h {
		if r.Begun != nil {
			now = r.Begun.Loses != LosesNothing
		}
		lossy[i] = now
	}
	return lossy
}

// Told is how much I8 had to decide of. Where nothing outlasts its window nobody
// is to be alerted, and whether they would be isn't known.
type Told struct {
	Divergences int `json:"divergences"` // detected
	Persisted   int `json:"persisted"`   // of them, for longer than their window
	Alerts      int `json:"alerts"`      // what events say that people were told
}

func (t *Told) take(e Event) {
	switch {
	case e.Type == "divergence.detected":
		t.Divergences++
	case e.Type == "divergence.persisted":
		t.Persisted++
	case e.Alert != nil:
		t.Alerts++
	}
}

// Add adds what was told in another history.
func (t *Told) Add(o Told) {
	t.Divergences, t.Persisted, t.Alerts = t.Divergences+o.Divergences, t.Persisted+o.Persisted, t.Alerts+o.Alerts
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Lift ends a fault; nil stands for one that is over by itself.
type Lift func(ctx context.Context) error

// Fault is one kind of fault.
type Fault struct {
	Row   string // of the fault matrix: F1
	Name  string // stable: for FAULTS=, for the table and in histories
	About string // one line for the table
	// Weight is its share among the kinds that a seed draws from; 0: only
	// where it is named.
	Weight int
	// Hold is how long it lasts between Inject and Lift.
	Hold Span
	// Outage says that it is one that may last: a [Shape] can have it held for
	// as long as outages take.
	Outage bool
	// Needs is what it needs that not every world has; it is drawn only in a
	// world that has it.
	Needs Need
	// Loses is what it takes away for good, for the totals and the checker.
	Loses Loss
	// Alone says that it can be held to one application, and that others then
	// must not notice: I7 is measured beside it.
	Alone bool
	// Awaits is what has to be seen before it is lifted, beside Hold; nil:
	// nothing has. What isn't seen in a minute is the checker's to judge.
	Awaits func(*Recorder) bool
	// Quiet has no step of the workload played while it lasts: nothing but
	// Plumbline moves then, and a write that Plumbline makes is one too many.
	Quiet bool
	// Shape adds to the steps of its round what the fault is made of, where it
	// is one of the workload's; nil: only the usual ones.
	Shape func(s *Script)
	// Inject begins it. It may be called while the workload goes on, never
	// twice at a time. Nil: the steps are the fault.
	Inject func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error)
}

// Span is a range of durations.
type Span struct{ Least, Most time.Duration }

func (s Span) draw(rng *rand.Rand) time.Duration {
	if s.Most <= s.Least {
		return s.Least
	}
	return s.Least + time.Duration(rng.Int64N(int64(s.Most-s.Least)))
}

// Need is something that a world has or has not.
type Need string

// Needs.
const (
	NeedFailpoints Need = "failpoints" // binaries that are built with them
	NeedProxy      Need = "proxy"      // proxies before bus, API server, Git and Slack
	NeedCluster    Need = "cluster"    // a cluster that only this world uses, and may lose
	NeedQuota      Need = "quota"      // a bus store on a disk that can be filled
	NeedClock      Need = "clock"      // processes whose clocks can be put off
)

// Possible is what a world of this process can have: all, but a disk of its own
// for the bus only where it may mount one, and clocks only where
// internal/failpoint can put them off.
func Possible() []Need {
	has := []Need{NeedFailpoints, NeedProxy, NeedCluster}
	if os.Geteuid() == 0 {
		has = append(has, NeedQuota)
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		has = append(has, NeedClock)
	}
	return has
}

// Loss is what a fault takes away for good.
type Loss string

// Losses.
const (
	LosesNothing    Loss = ""
	LosesLog        Loss = "log"         // a wipe of the bus store while its server is stopped
	LosesLogBeneath Loss = "log-beneath" // the same underneath a running server
	RestoresLog     Loss = "old-log"     // an old bus store is put back
	RestoresCluster Loss = "old-cluster" // an old state of the cluster is put back
)

// Faults are all kinds, in the order of the matrix.
var Faults = slices.Concat(
	killFaults, failpointFaults, busFaults, wireFaults, againFaults, storeFaults, twinFaults, refFaults,
	apiServerFaults, kubeWireFaults, webhookFaults, hostFaults, receiverFaults, objectFaults, absentFaults, messageFaults, childFaults, clockFaults,
)

// FaultNamed returns a kind by its name.
func FaultNamed(name string) (Fault, bool) {
	i := slices.IndexFunc(Faults, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return Faults[i], true
}

// Select returns the kinds that names and rows name, separated by commas;
// empty: all that have a weight and need nothing that has not.
func Select(names string, has []Need) ([]Fault, error) {
	var chosen []Fault
	if names == "" {
		for _, f := range Faults {
			if f.Weight > 0 && (f.Needs == "" || slices.Contains(has, f.Needs)) {
				chosen = append(chosen, f)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		n := len(chosen)
		for _, f := range Faults {
			if f.Name == name || f.Row == name {
				chosen = append(chosen, f)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("no fault and no row is named %q", name)
		}
	}
	return chosen, nil
}

// draw picks a kind by weight.
func draw(rng *rand.Rand, kinds []Fault) Fault {
	sum := 0
	for _, f := range kinds {
		sum += max(f.Weight, 1)
	}
	n := rng.IntN(sum)
	for _, f := range kinds {
		if n -= max(f.Weight, 1); n < 0 {
			return f
		}
	}
	return kinds[len(kinds)-1]
}

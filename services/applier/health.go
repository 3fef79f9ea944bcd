// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/events"
)

// healthStatus is the health of one object.
type healthStatus int

const (
	healthCurrent     healthStatus = iota
	healthProgressing              // not yet, or no longer
	healthFailed                   // and it won't be without a change
	healthMissing                  // it isn't there
)

type health struct {
	Status  healthStatus
	Message string
}

// healthOf computes an object's health by the rules of kstatus
// (github.com/fluxcd/cli-utils/pkg/kstatus). Three of them are too kind for a
// rollout: they call a Job healthy while it runs, a Pod that has failed
// "completed", and an aggregated API or a Namespace fine whatever it says.
func healthOf(u *unstructured.Unstructured) health {
	result, err := status.Compute(u)
	if err != nil {
		return health{healthProgressing, "its status can't be read"}
	}
	h := health{Message: result.Message}
	switch result.Status {
	case status.CurrentStatus:
		h = health{Status: healthCurrent}
	case status.FailedStatus:
		h.Status = healthFailed
	default:
		h.Status = healthProgressing
	}
	if h.Status != healthCurrent {
		return h
	}
	gvk := u.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case "batch/Job":
		if suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); !suspended && !condition(u, "Complete") { //nolint:errcheck // of another type is not suspended
			return health{healthProgressing, "the Job has not completed"}
		}
	case "/Pod":
		if phase, _, _ := unstructured.NestedString(u.Object, "status", "phase"); phase == "Failed" { //nolint:errcheck // of another type has not failed
			return health{healthFailed, "the Pod has failed"}
		}
	case "/Namespace":
		if phase, _, _ := unstructured.NestedString(u.Object, "status", "phase"); phase != "" && phase != "Active" { //nolint:errcheck // of another type is not told
			return health{healthProgressing, "the Namespace is " + phase}
		}
	case "apiregistration.k8s.io/APIService":
		if !condition(u, "Available") {
			return health{healthProgressing, "the API that it stands for is not available"}
		}
	}
	return h
}

func condition(u *unstructured.Unstructured, name string) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions") //nolint:errcheck // of another type has none
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == name && m["status"] == "True"
	})
}

// verdict is the health of a whole application.
type verdict struct {
	Status    healthStatus // the worst of its objects
	Unhealthy []objectHealth
}

type objectHealth struct {
	events.Object
	health
}

// judge looks at every object that should be there.
func judge(expected []events.Object, seen func(key string) (sighting, bool)) verdict {
	var v verdict
	for _, o := range expected {
		s, ok := seen(o.Key())
		h := s.Health
		if !ok {
			h = health{healthMissing, "it is not there"}
		}
		if h.Status == healthCurrent {
			continue
		}
		v.Unhealthy = append(v.Unhealthy, objectHealth{o, h})
		v.Status = worse(v.Status, h.Status)
	}
	slices.SortFunc(v.Unhealthy, func(a, b objectHealth) int {
		return cmp.Or(cmp.Compare(severity(b.Status), severity(a.Status)), cmp.Compare(a.Key(), b.Key()))
	})
	return v
}

// severity orders what is worst: what has failed for good, then what isn't
// there, then what is on its way.
func severity(s healthStatus) int {
	return map[healthStatus]int{healthCurrent: 0, healthProgressing: 1, healthMissing: 2, healthFailed: 3}[s]
}

func worse(a, b healthStatus) healthStatus {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

// healthPhase is where an application is on its way to health.
type healthPhase int

const (
	healthUnknown  healthPhase = iota // nothing was applied yet: nothing is said
	healthWaiting                     // applied, within its timeout
	healthReached                     // convergence.completed was said
	healthTimedOut                    // convergence.failed (unhealthy) was said
	healthLost                        // convergence.degraded was said
)

// healthState is what is remembered from one look to the next.
type healthState struct {
	Phase    healthPhase
	Deadline time.Time // of healthWaiting
	Since    time.Time // of healthReached: since when it isn't healthy; zero: it is
}

// healthReport is what one look leads to.
type healthReport int

const (
	reportNothing healthReport = iota
	reportCompleted
	reportFailed
	reportDegraded
)

// decideHealth takes one look at a verdict. Complete says that nothing is held
// or left to apply: only then live equals Git. Grace is how long a converged
// application may be on its way to something (more replicas) before that
// counts as lost health; what fails for good does at once.
//
// Until its next rollout ends, an application that we are rolling out is
// waiting and not degraded: our own doing is no loss of health.
func decideHealth(s healthState, v verdict, complete bool, grace time.Duration, now time.Time) (healthState, healthReport) {
	healthy := v.Status == healthCurrent
	switch s.Phase {
	case healthWaiting:
		switch {
		case healthy && complete:
			return healthState{Phase: healthReached}, reportCompleted
		case v.Status == healthFailed, !healthy && !now.Before(s.Deadline):
			return healthState{Phase: healthTimedOut}, reportFailed
		}
	case healthTimedOut, healthLost:
		if healthy && complete {
			return healthState{Phase: healthReached}, reportCompleted
		}
	case healthReached:
		switch {
		case healthy:
			return healthState{Phase: healthReached}, reportNothing
		case v.Status == healthFailed, !s.Since.IsZero() && now.Sub(s.Since) >= grace:
			return healthState{Phase: healthLost}, reportDegraded
		case s.Since.IsZero():
			s.Since = now
		}
	case healthUnknown:
	}
	return s, reportNothing
}

// next is when to look again although nothing has changed; zero: never.
func (s healthState) next(grace time.Duration) time.Time {
	switch {
	case s.Phase == healthWaiting:
		return s.Deadline
	case s.Phase == healthReached && !s.Since.IsZero():
		return s.Since.Add(grace)
	}
	return time.Time{}
}

// describe writes the unhealthy objects as failures, at most
// [events.MaxInline] of them, and one sentence about all.
func (v verdict) describe() (string, []events.ObjectFailure) {
	var failures []events.ObjectFailure
	for _, u := range v.Unhealthy[:min(len(v.Unhealthy), events.MaxInline)] {
		failures = append(failures, events.ObjectFailure{Object: u.Object, Message: cut(u.Message)})
	}
	if len(v.Unhealthy) == 0 {
		return "", nil
	}
	first := v.Unhealthy[0]
	message := fmt.Sprintf("%s is not healthy: %s", first.Object, cut(first.Message))
	if n := len(v.Unhealthy) - 1; n > 0 {
		message += fmt.Sprintf("; and %d more", n)
	}
	return message, failures
}

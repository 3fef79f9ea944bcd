// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// Op is what a plan does with one object.
type Op string

const (
	OpCreate Op = "create"
	OpUpdate Op = "update" // write it: it differs, or what it is can't be told
	OpAdopt  Op = "adopt"  // write it: it exists, and no application owned it
	OpKeep   Op = "keep"   // no request
	OpWait   Op = "wait"   // it is being deleted: again when it is gone
	OpDelete Op = "delete"
	OpHold   Op = "hold"   // a guard stands before its deletion, or another application may claim it
	OpPass   Op = "pass"   // another application has it: out of the inventory
	OpOffer  Op = "offer"  // another application claims it, and may take it: until then it stays in the inventory
	OpOrphan Op = "orphan" // no longer labelled as ours: out of the inventory, it stays
	OpForget Op = "forget" // gone already: out of the inventory
)

// Writes says whether op writes the object as Git declares it.
func (op Op) Writes() bool { return op == OpCreate || op == OpUpdate || op == OpAdopt }

// Step is what a plan does with one object, and why.
type Step struct {
	events.Object
	Op    Op
	Phase phase
	Why   string
	// Target is the declaration of an object that is declared.
	Target *Target
	// UID and ResourceVersion are the preconditions: the object as it was
	// seen. Empty for an object that isn't there.
	UID, ResourceVersion string
	// Left are the ignored fields that are left out.
	Left []string
	// To is the application that it passes to. Stands says that it is offered
	// to it already.
	To     string
	Stands bool
}

// Plan is what was decided for an application: applies in the order of the
// phases, then everything that leaves, in reverse order.
type Plan struct {
	Application string
	Digest      string
	// Refused are the objects for which the whole bundle is refused; then
	// Steps is empty.
	Refused []Refusal
	Steps   []Step
	// Hold is what a guard keeps from being deleted; nil: nothing.
	Hold *Hold
	// Awaited is the application because of which Hold waits, where no guard
	// is the cause.
	Awaited *Awaited
	// Locked says that what should be deleted waits for one full compare.
	Locked bool
}

// Refusal is why an object must not be written.
type Refusal struct {
	Target
	Reason  events.Reason
	Message string
	Owner   string // the application that it belongs to, where that is why
}

// Requests is the number of steps that take a request.
func (p Plan) Requests() int {
	n := 0
	for _, s := range p.Steps {
		if s.Op.Writes() || s.Op == OpDelete {
			n++
		}
	}
	return n
}

// deletes says whether something is to be deleted.
func (p Plan) deletes() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op == OpDelete })
}

// offered is an application that something is offered to; empty: none is.
func (p Plan) offered() string {
	for _, s := range p.Steps {
		if s.Op == OpOffer {
			return s.To
		}
	}
	return ""
}

// quiet says that what is held is not said yet: it waits for another
// application, most often for a moment only.
func (p Plan) quiet() bool { return p.Awaited != nil && !p.Awaited.Said }

// Settled says that nothing is left to do but what waits for an approval:
// no request, and no change of the inventory.
func (p Plan) Settled() bool {
	if len(p.Refused) > 0 || p.quiet() {
		return false
	}
	for _, s := range p.Steps {
		if s.Op != OpKeep && s.Op != OpHold && s.Op != OpOffer {
			return false
		}
	}
	return true
}

// LogValue keeps what the objects hold out of the log.
func (p Plan) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String prints the plan for people, one object a line.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s\n", p.Application, p.Digest)
	for _, r := range p.Refused {
		fmt.Fprintf(&b, "refuse %s: %s\n", r.Object, r.Message)
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%-6s %s", s.Op, s.Object)
		if s.Why != "" {
			fmt.Fprintf(&b, " (%s)", s.Why)
		}
		for _, path := range s.Left {
			fmt.Fprintf(&b, " without %s", path)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

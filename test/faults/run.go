// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Options are what one run is made of.
type Options struct {
	Setting
	Seed   uint64
	Shape  Shape
	Faults []Fault
	Log    io.Writer // told of each round; nil: nobody
}

// Result is what a run came to, one line of a results file.
type Result struct {
	Seed       uint64        `json:"seed"`
	Commit     string        `json:"commit,omitempty"` // of Plumbline
	Machine    string        `json:"machine,omitempty"`
	Again      string        `json:"again,omitempty"` // the command that repeats it
	Began      time.Time     `json:"began"`
	Took       time.Duration `json:"took"`
	RefChanges int           `json:"refChanges"`
	Events     int           `json:"events"`
	Writes     int           `json:"writes"` // states of objects and inventories that were seen
	Told       Told          `json:"told"`
	Rounds     []RoundResult `json:"rounds"`
	// Accounts are what became of the revisions, by how many.
	Accounts   map[Account]int `json:"accounts,omitempty"`
	Judged     Judged          `json:"judged"`
	Waits      Waits           `json:"waits,omitzero"` // of I7
	Violations []Violation     `json:"violations,omitempty"`
	History    string          `json:"history,omitempty"` // file, where it is kept
	Error      string          `json:"error,omitempty"`   // of the rig, not of Plumbline
}

// RoundResult is what one fault came to.
type RoundResult struct {
	Row        string        `json:"row"`
	Fault      string        `json:"fault"`
	RefChanges int           `json:"refChanges"`
	Held       time.Duration `json:"held"`     // how long the fault lasted
	Recovery   time.Duration `json:"recovery"` // from when its end began until live was what Git asks for
	Loses      Loss          `json:"loses,omitempty"`
	Struck     bool          `json:"struck"` // see [FaultRun]
}

// Run runs one seed and checks its history. Its error is the rig's: what is
// wrong with Plumbline is in the result.
func Run(ctx context.Context, o Options) (Result, error) {
	result := Result{Seed: o.Seed, Began: time.Now().UTC()}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return result, fmt.Errorf("run: %w", err)
	}
	plan := NewPlan(o.Seed, o.Shape, o.Faults)
	result.History = filepath.Join(o.Dir, "history.jsonl")
	record, err := NewRecorder(result.History)
	if err != nil {
		return result, err
	}
	err = drive(ctx, o, plan, record, &result)
	err = errors.Join(err, record.Close())
	history := record.History()
	result.Violations = Check(history)
	result.count(history)
	result.Accounts, result.Waits, result.Judged = Accounts(history), WaitsOf(history), Judge(history)
	result.Took = time.Since(result.Began)
	return result, err
}

// drive raises a world and plays a plan in it.
func drive(ctx context.Context, o Options, plan Plan, record *Recorder, result *Result) (err error) {
	w, err := NewWorld(ctx, o.Setting, plan, record)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	d := &driver{World: w, view: newGitView(), options: o, result: result}
	if err := d.round(ctx, 0, Round{Steps: plan.First}); err != nil {
		return fmt.Errorf("first convergence: %w", err)
	}
	for i, round := range plan.Rounds {
		if err := d.round(ctx, i+1, round); err != nil {
			return fmt.Errorf("round %d (%s): %w", i+1, round.Fault, err)
		}
		if late := d.late; late != "" {
			fmt.Fprintf(o.Log, "seed %d round %d %s: no rest: %s\n", o.Seed, i+1, round.Fault, late)
			break // what comes after would be blamed for it
		}
	}
	if d.late == "" {
		if err := d.tellAll(ctx); err != nil {
			return err
		}
	}
	return d.search(ctx, o.Dir)
}

// tellFor is how long the notifier is given in the end: it sends one message a
// second.
const tellFor = 45 * time.Second

// tellAll waits until people were told all that there is to tell, and ends the
// notifier then: what is in Slack and what events say of it can be compared.
func (d *driver) tellAll(ctx context.Context) error {
	a, taken := newAlerts(), 0
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	for {
		changed := d.record.change()
		history := d.record.History()
		for i, r := range history[taken:] {
			a.take(taken+i, r)
		}
		taken = len(history)
		if len(a.due()) == 0 {
			break
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
		break
	}
	d.record.add(Record{Told: true})
	if err := d.Stop("notifier"); err != nil {
		return err
	}
	ending, end := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer end()
	return d.record.catchUp(ending)
}

// driver plays rounds.
type driver struct {
	*World
	view    *gitView
	taken   int // records that the view has taken
	options Options
	result  *Result
	late    string
}

func (d *driver) round(ctx context.Context, n int, round Round) error {
	fault, _ := FaultNamed(round.Fault)
	run := &FaultRun{Round: n, Row: fault.Row, Name: fault.Name, Loses: fault.Loses, Quiet: fault.Quiet}
	if err := d.play(ctx, round.Steps[:round.At]); err != nil {
		return err
	}
	began := time.Now()
	if fault.Name != "" {
		d.record.add(Record{Begun: run})
	}
	lift := Lift(nil)
	d.missed = false
	if round.Idle {
		d.Missed("there was nothing to do it to")
	}
	if d.victim = round.Victim; fault.Inject != nil {
		var err error
		if lift, err = fault.Inject(ctx, d.World, rand.New(rand.NewPCG(round.Seed, 1))); err != nil {
			return fmt.Errorf("inject: %w", err)
		}
	}
	err := d.play(ctx, round.Steps[round.At:])
	if err == nil {
		err = pause(ctx, round.Hold-time.Since(began))
	}
	if err == nil && fault.Awaits != nil && round.Victim == nil {
		err = d.await(ctx, fault.Awaits)
	}
	lifting := time.Now() // its recovery begins with that: some faults take long to end
	if lift != nil {
		err = errors.Join(err, lift(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return err
	}
	held := lifting.Sub(began)
	if fault.Name != "" {
		lifted := *run
		lifted.Struck = !d.missed
		d.record.add(Record{Lifted: &lifted})
	}
	if err := d.play(ctx, round.After); err != nil {
		return err
	}
	return d.rest(ctx, n, round, fault, span{held, lifting})
}

// span is how long a fault was held, and when it began to be lifted.
type span struct {
	held    time.Duration
	lifting time.Time
}

// awaitFor bounds the wait for what a fault awaits.
const awaitFor = time.Minute

// await waits until something was seen, or for long enough.
func (d *driver) await(ctx context.Context, seen func(*Recorder) bool) error {
	ctx, cancel := context.WithTimeout(ctx, awaitFor)
	defer cancel()
	for {
		changed := d.record.change()
		if seen(d.record) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				d.Missed("what it awaits was not seen")
				return nil
			}
			return ctx.Err()
		}
	}
}

// rest waits for rest and writes it down.
func (d *driver) rest(ctx context.Context, n int, round Round, fault Fault, s span) error {
	d.catchUp()
	q, err := d.settle(ctx, d.view, s.lifting)
	if err != nil {
		return err
	}
	q.Round, q.Fault, q.Row = n, fault.Name, fault.Row
	d.record.add(Record{Quiet: &q})
	d.view.quiet(q.Live)
	d.late = q.Late
	if fault.Name == "" {
		return nil
	}
	changes := 0
	for _, step := range append(round.Steps[:len(round.Steps):len(round.Steps)], round.After...) {
		if step.pushes() {
			changes++
		}
	}
	d.result.Rounds = append(d.result.Rounds, RoundResult{
		Row: fault.Row, Fault: fault.Name, RefChanges: changes, Held: s.held, Recovery: q.Recovery, Loses: fault.Loses, Struck: !d.missed,
	})
	fmt.Fprintf(d.options.Log, "seed %d round %d %s %s: %d ref changes, held %s, recovered in %s\n",
		d.options.Seed, n, fault.Row, fault.Name, changes, s.held.Round(time.Millisecond), q.Recovery.Round(time.Millisecond))
	return nil
}

// catchUp has the view take what was pushed since.
func (d *driver) catchUp() {
	history := d.record.History()
	for _, r := range history[d.taken:] {
		if r.Ref != nil {
			d.view.take(r.Ref)
		}
	}
	d.taken = len(history)
}

// count fills in what a history shows.
func (r *Result) count(h History) {
	for _, record := range h {
		switch {
		case record.Ref != nil:
			r.RefChanges++
		case record.Event != nil:
			r.Events++
			r.Told.take(*record.Event)
		case record.Object != nil, record.Gone != nil, record.Inventory != nil:
			r.Writes++
		}
	}
}

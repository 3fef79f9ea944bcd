// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/faults"
)

// settings are what the command line says.
type settings struct {
	bin, dir, names, results, doc string
	seed                          uint64
	duration, limit               time.Duration
	shape                         faults.Shape
	parallel, count               int
	plan, forever, keep           bool
	kinds                         []faults.Fault
	commit                        string
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.bin == "" && !s.plan && s.doc == "" {
		if s.bin, err = binaries.Build(ctx, binaries.Kind{Tags: "failpoints"}); err != nil {
			return err
		}
	}
	switch {
	case s.plan:
		fmt.Print(faults.NewPlan(s.seed, s.shape, s.kinds))
		return nil
	case s.doc != "":
		return s.document()
	case s.forever:
		return s.soak(ctx)
	}
	return s.once(ctx)
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&s.bin, "bin", "", "folder with binaries that are built with the tag failpoints; default: built now")
	flags.StringVar(&s.dir, "dir", "", "folder for what runs keep; default: a temporary one")
	flags.StringVar(&s.names, "faults", "", "names or rows of faults, separated by commas; default: all")
	flags.Uint64Var(&s.seed, "seed", 1, "the seed to run once, or to begin with")
	flags.DurationVar(&s.duration, "duration", 45*time.Second, "about how long a seed takes")
	flags.IntVar(&s.shape.Apps, "apps", 24, "how many applications there are")
	flags.IntVar(&s.shape.Steps, "steps", 10, "about how many steps of the workload a round has")
	flags.IntVar(&s.shape.Probes, "probes", 16, "changes whose time is taken beside no fault, and beside one in another application; 0: none")
	flags.DurationVar(&s.shape.Hold, "hold", 0, "how long outages of the bus and of the API server last; 0: a few seconds")
	flags.BoolVar(&s.plan, "plan", false, "print the steps of the seed and run nothing")
	flags.BoolVar(&s.forever, "forever", false, "run one seed after the other until interrupted")
	flags.IntVar(&s.parallel, "parallel", 3, "how many seeds run at once")
	flags.BoolVar(&s.keep, "keep", false, "keep what a good seed leaves: history, logs, the bus's store")
	flags.IntVar(&s.count, "count", 0, "end after so many seeds; 0: never")
	flags.DurationVar(&s.limit, "limit", 0, "begin no seed after so long; 0: always")
	flags.StringVar(&s.results, "results", "", "file of results, which is added to; default: none for one seed, faults.jsonl else")
	flags.StringVar(&s.doc, "doc", "", "write the table of the results to this file and run nothing")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if s.results == "" && (s.forever || s.doc != "") {
		s.results = "faults.jsonl"
	}
	s.shape = s.shape.During(s.duration)
	var err error
	if s.kinds, err = faults.Select(s.names, faults.Possible()); err != nil {
		return nil, err
	}
	s.commit, err = commit()
	return s, err
}

// document writes docs/faults.md.
func (s *settings) document() error {
	results, err := faults.ReadResults(s.results, s.commit)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := faults.WriteTable(&b, results, "make soak"); err != nil {
		return err
	}
	return os.WriteFile(s.doc, []byte(b.String()), 0o644)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/plumbline-dev/plumbline/test/faults"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// settings are what the command line says.
type settings struct {
	bin, dir, names string
	seed            uint64
	duration        time.Duration
	apps            int
	list            bool
}

// roundTime is about what a round takes; a duration is that many rounds.
const roundTime = 5 * time.Second

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&s.bin, "bin", "bin", "folder with the binaries of make build")
	flags.StringVar(&s.dir, "dir", "", "folder for what a run keeps; default: a temporary one")
	flags.StringVar(&s.names, "faults", "", "names or rows of faults, separated by commas; default: all")
	flags.Uint64Var(&s.seed, "seed", 0, "the seed to run, once")
	flags.DurationVar(&s.duration, "duration", time.Minute, "about how long a seed takes: a round for every 5 s")
	flags.IntVar(&s.apps, "apps", 24, "how many applications there are")
	flags.BoolVar(&s.list, "plan", false, "print the steps of the seed and run nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	kinds, err := faults.Select(s.names, nil)
	if err != nil {
		return err
	}
	shape := faults.Shape{Apps: s.apps, Rounds: max(1, int(s.duration/roundTime)), Steps: 7}
	if s.list {
		fmt.Print(faults.NewPlan(s.seed, shape, kinds))
		return nil
	}
	return s.once(ctx, shape, kinds)
}

// once runs one seed on a cluster of its own.
func (s settings) once(ctx context.Context, shape faults.Shape, kinds []faults.Fault) (err error) {
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "plumbline-faults-"); err != nil {
			return err
		}
	}
	cluster, err := kubelab.Start(ctx, kubelab.Options{Dir: filepath.Join(s.dir, "cluster"), Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	result, err := faults.Run(ctx, faults.Options{
		Setting: faults.Setting{Dir: filepath.Join(s.dir, fmt.Sprint("seed-", s.seed)), Bin: s.bin, Cluster: cluster},
		Seed:    s.seed, Shape: shape, Faults: kinds, Log: os.Stdout,
	})
	for _, v := range result.Violations {
		fmt.Println(v)
	}
	fmt.Printf("seed %d: %d ref changes, %d faults, %d events, %d writes, %d violations in %s; history %s\n",
		s.seed, result.RefChanges, len(result.Rounds), result.Events, result.Writes, len(result.Violations), result.Took.Round(time.Second), result.History)
	return err
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what a run of the bench is told.
type options struct {
	sizes  []int    // how many applications
	only   []string // parts; empty: all
	runs   int      // of a cell that takes a whole cluster or changes everything
	rounds int      // of a cell that takes one commit or one edit
	idle   time.Duration
	output string // table or json
	json   string // file
	doc    string // file
	keep   bool   // the folder of each scene, with its logs
	env    []string
}

func parse(args []string) (options, error) {
	var o options
	var sizes, only, env string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&sizes, "n", "100,300,1000", "how many applications, a size or more")
	fs.StringVar(&only, "only", "", "the parts to measure, a name or more of: "+strings.Join(partNames(), " ")+" (default: all)")
	fs.IntVar(&o.runs, "runs", 3, "runs of what takes a cluster of its own, or changes every application")
	fs.IntVar(&o.rounds, "rounds", 15, "rounds of what takes one commit or one edit")
	fs.DurationVar(&o.idle, "idle", time.Minute, "how long nothing happens before memory counts as idle")
	fs.StringVar(&o.output, "o", "table", "what is printed: table or json")
	fs.StringVar(&o.json, "json", "", "file to write JSON to")
	fs.StringVar(&o.doc, "doc", "", "file to write the page for people to")
	fs.StringVar(&env, "env", "", "environment of the services, A=b,C=d")
	fs.BoolVar(&o.keep, "keep", false, "keep the folders of the scenes, with every log")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 5000 {
			return o, fmt.Errorf("-n %s: want sizes from 1 to 5000", sizes)
		}
		o.sizes = append(o.sizes, n)
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if env != "" {
		o.env = strings.Split(env, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(partNames(), name) {
			return o, fmt.Errorf("-only %s: there is no part of this name, but %s", name, strings.Join(partNames(), ", "))
		}
	}
	if o.output != "table" && o.output != "json" {
		return o, fmt.Errorf("-o %s: want table or json", o.output)
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr, measure)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// measuring fills a report; it is [measure].
type measuring func(ctx context.Context, o options, r *report, progress io.Writer) error

// run measures and reports. What could not be measured is in the report too.
func run(ctx context.Context, o options, stdout, progress io.Writer, measure measuring) error {
	began := time.Now()
	r := &report{Machine: machine(), Commit: commit(ctx), Began: began.UTC().Truncate(time.Second)}
	err := measure(ctx, o, r, progress)
	r.Took = time.Since(began).Round(time.Second).String()
	r.judge()
	if o.output == "json" {
		err = errors.Join(err, r.writeJSON(stdout))
	} else {
		r.print(stdout)
	}
	if o.json != "" {
		err = errors.Join(err, toFile(o.json, r.writeJSON))
	}
	if o.doc != "" && ctx.Err() == nil { // a page with failures says so
		err = errors.Join(err, toFile(o.doc, r.writeDoc))
	}
	return err
}

func toFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

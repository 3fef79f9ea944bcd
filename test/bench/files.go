// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// A large repository: folders of files, of which one is an application.
const (
	folders        = 2000
	filesPerFolder = 10
	filesInAll     = folders * filesPerFolder
)

func large(marker string) map[string]string {
	files := map[string]string{}
	for d := range folders {
		for f := range filesPerFolder {
			files[fmt.Sprintf("apps/%s/item-%d.yaml", application(d), f)] = fmt.Sprintf(
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: item-%d}\ndata:\n  folder: %q\n  marker: %q\n  text: %q\n", f, application(d), marker, fmt.Sprintf("%040d", d*filesPerFolder+f))
		}
	}
	return files
}

// files measures a repository of many files: its first sight, and one commit
// more.
func files(ctx context.Context, o options, r *report, progress io.Writer) (err error) {
	receiver, err := otlpserver.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.Close()) }()
	o.env = append(o.env, receiver.Env("http/protobuf")...)
	return with(ctx, o, r, progress, 1, false, func(s *scene) error { return s.files(ctx, receiver) })
}

func (s *scene) files(ctx context.Context, receiver *otlpserver.Server) error {
	repo, err := s.rig.Repo("large")
	if err != nil {
		return err
	}
	s.progress("make a repository of %d files", filesInAll)
	if _, err := s.pushSilently(ctx, repo, large("first")); err != nil {
		return err
	}
	clone := filepath.Join(s.rig.Dir, "clone")
	if err := s.rawFiles("files, first event", "clone", "--quiet", "--bare", "--depth", "1", repo.URL, clone); err != nil {
		return err
	}
	s.usage.follow()
	mark, before := s.rig.Bus.Mark(), s.usage.now()
	held, err := s.rig.Stored(ctx)
	if err != nil {
		return err
	}
	fleet := fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: large}\nspec: {url: %q, interval: 10m}\n---\napiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %[2]s}\nspec: {source: {repository: large, path: apps/%[2]s}, namespace: %[2]s}\n", repo.URL, application(0))
	pushed, err := s.push(ctx, s.rig.Fleet, map[string]string{"fleet.yaml": fleet})
	if err != nil {
		return err
	}
	for _, row := range []struct{ measure, event string }{
		{"files, first event", "commit.observed"}, {"files, first converged", "convergence.completed"},
	} {
		waiting, cancel := context.WithTimeout(ctx, patience)
		e, err := s.rig.Bus.Wait(waiting, mark, rig.Of(row.event, application(0)))
		cancel()
		if err != nil {
			return fmt.Errorf("no %s: %w", row.event, err)
		}
		s.report.add(row.measure, filesInAll, e.At.Sub(pushed))
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	peak := s.usage.peaks()
	s.report.count("files, watcher peak", filesInAll, float64(peak["watcher"])/mib)
	s.report.count("files, renderer peak", filesInAll, float64(peak["renderer"])/mib)
	s.report.used("files, first", filesInAll, before, s.usage.now())
	now, err := s.rig.Stored(ctx)
	if err != nil {
		return err
	}
	s.report.count("files, first bytes", filesInAll, float64(now)-float64(held))
	return s.moreFiles(ctx, repo, clone, receiver)
}

// moreFiles measures single commits.
func (s *scene) moreFiles(ctx context.Context, repo *gitserver.Repo, clone string, receiver *otlpserver.Server) error {
	for round := range max(3, s.rounds/3) {
		held, err := s.rig.Stored(ctx)
		if err != nil {
			return err
		}
		mark := s.rig.Bus.Mark()
		name := fmt.Sprintf("apps/%s/item-%d.yaml", application(0), round%filesPerFolder)
		body := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: item-%d}\ndata: {round: %q}\n", round%filesPerFolder, strconv.Itoa(round))
		pushed, err := s.push(ctx, repo, map[string]string{name: body})
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		e, err := s.rig.Bus.Wait(waiting, mark, rig.Of("commit.observed", application(0)))
		if err == nil {
			err = receiver.Wait(waiting, func() bool { return len(fetches(receiver, e.Traceparent[3:35])) > 0 })
		}
		cancel()
		if err != nil {
			return fmt.Errorf("no commit.observed, or no span of its fetch: %w", err)
		}
		s.report.add("files, event", filesInAll, e.At.Sub(pushed))
		s.report.add("files, fetch", filesInAll, fetches(receiver, e.Traceparent[3:35])[0])
		if err := s.settle(ctx); err != nil {
			return err
		}
		now, err := s.rig.Stored(ctx)
		if err != nil {
			return err
		}
		s.report.count("files, bytes", filesInAll, float64(now)-float64(held))
		if err := s.rawFiles("files, fetch", "-C", clone, "fetch", "--quiet", "--depth", "1", "origin", "main"); err != nil {
			return err
		}
	}
	return nil
}

// fetches is how long the fetches of a trace took.
func fetches(receiver *otlpserver.Server, trace string) []time.Duration {
	var took []time.Duration
	for _, span := range receiver.Of(trace) {
		if span.Name == "git fetch" {
			took = append(took, span.End.Sub(span.Start))
		}
	}
	return took
}

// rawFiles is what the git command takes for the same.
func (s *scene) rawFiles(measure string, args ...string) error {
	began := time.Now()
	cmd := exec.Command("git", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.rig.Dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %v: %w: %s", args, err, out)
	}
	s.report.limit(measure, filesInAll, time.Since(began))
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Command git serves a folder as a Git repository over HTTP and commits
// whatever changes in it: the sample fleet of the Tiltfile. It takes no push.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	folder := flag.String("folder", "/served", "folder to serve, as fleet.git")
	data := flag.String("data", "/srv/git", "folder to keep the repository in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", *listen)
	if err == nil {
		err = serve(ctx, l, *folder, *data)
	}
	if err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be put in order
	}
}

// commitEvery is how soon a saved file is a commit.
const commitEvery = 500 * time.Millisecond

// serve serves a folder on l until ctx ends.
func serve(ctx context.Context, l net.Listener, folder, data string) error {
	r := repository{folder: folder, dir: filepath.Join(data, "fleet.git")}
	programs, err := r.git(ctx, "--exec-path")
	if err != nil {
		return err
	}
	if _, err := r.git(ctx, "init", "--quiet", "--bare", "--initial-branch=main", r.dir); err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(programs), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + data, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1"},
	}}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // its error is that of Serve
	go r.commitAll(ctx)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// repository is a bare repository of a folder beside it.
type repository struct{ folder, dir string }

// commitAll commits what has changed until ctx ends.
func (r repository) commitAll(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		if err := r.commit(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("not committed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r repository) commit(ctx context.Context) error {
	if _, err := r.git(ctx, "add", "--all", "."); err != nil {
		return err
	}
	changed, err := r.git(ctx, "status", "--porcelain")
	if err != nil || changed == "" {
		return err
	}
	subject := fmt.Sprintf("Save %d files", strings.Count(changed, "\n"))
	if file, one := strings.CutSuffix(changed, "\n"); one && !strings.Contains(file, "\n") {
		subject = "Save " + file[3:] // after the status: git-status(1)
	}
	if _, err := r.git(ctx, "commit", "--quiet", "--message", subject); err != nil {
		return err
	}
	slog.Info(subject)
	return nil
}

// git runs git on the repository and its folder, whoever's configuration there
// is.
func (r repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=You", "GIT_AUTHOR_EMAIL=you@example.com", "GIT_COMMITTER_NAME=You", "GIT_COMMITTER_EMAIL=you@example.com",
	}
	if args[0] != "init" && args[0] != "--exec-path" {
		cmd.Env = append(cmd.Env, "GIT_DIR="+r.dir, "GIT_WORK_TREE="+r.folder)
	}
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, exit.Stderr)
	}
	return string(out), err
}

// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Binary returns the path of the kubelab binary for this checkout's
// tools/kubelab. When the user's cache folder has none it builds one, which
// takes minutes, and tells progress about it; progress may be nil. Several
// processes may call it at once: one builds, the others wait for it.
//
// It needs the go command on PATH, and the checkout.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	recipe, err := newRecipe(ctx)
	if err != nil {
		return "", err
	}
	key, err := sourceKey(recipe.source, strings.Join(append([]string{recipe.toolchain}, recipe.args("kubelab")...), " "))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder for kubelab: %w", err)
	}
	dir := filepath.Join(cache, "plumbline", "kubelab", key)
	binary := filepath.Join(dir, "kubelab")
	if isExecutable(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder for kubelab: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"), func() {
		_, _ = fmt.Fprintln(progress, "kubelab: another process is building it; waiting") // progress is a courtesy
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if isExecutable(binary) { // built while this process waited
		return binary, nil
	}
	return binary, recipe.build(ctx, binary, progress)
}

// recipe is how the binary is built.
type recipe struct {
	source     string // the folder tools/kubelab
	toolchain  string // version and target of the go command
	kubernetes string // without the leading v: 1.37.2
}

// kubernetesVersion finds the version of Kubernetes in go.mod. Its components
// refuse to start when they are not told it at link time.
var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes v((\d+)\.(\d+)\.\S+)`)

func newRecipe(ctx context.Context) (recipe, error) {
	source, err := sourceDir()
	if err != nil {
		return recipe{}, err
	}
	gomod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return recipe{}, fmt.Errorf("read the version of Kubernetes: %w", err)
	}
	version := kubernetesVersion.FindSubmatch(gomod)
	if version == nil {
		return recipe{}, fmt.Errorf("read the version of Kubernetes: %s/go.mod does not require k8s.io/kubernetes", source)
	}
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	cmd.Dir = source
	cmd.Env = buildEnv()
	toolchain, err := cmd.Output()
	if err != nil {
		return recipe{}, fmt.Errorf("ask the go command for its version: %w", err)
	}
	return recipe{source: source, toolchain: string(toolchain), kubernetes: string(version[1])}, nil
}

func (r recipe) args(output string) []string {
	const pkg = "k8s.io/component-base/version."
	parts := strings.SplitN(r.kubernetes, ".", 3)
	linker := fmt.Sprintf("-s -w -X %sgitVersion=v%s -X %sgitMajor=%s -X %sgitMinor=%s",
		pkg, r.kubernetes, pkg, parts[0], pkg, parts[1])
	return []string{"build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", linker, "-o", output, "."}
}

// buildEnv leaves out cgo, which nothing needs, and a workspace, which would
// change what go.sum pins.
func buildEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
}

// build writes the binary as a whole or not at all.
func (r recipe) build(ctx context.Context, binary string, progress io.Writer) error {
	total := r.packages(ctx)
	temp := binary + ".building"
	cmd := exec.CommandContext(ctx, "go", r.args(temp)...)
	cmd.Dir = r.source
	cmd.Env = buildEnv()
	// An orderly end lets the go command remove its work folder.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second

	report := newReport(progress, total)
	cmd.Stdout = report
	cmd.Stderr = report
	report.start()
	err := cmd.Run()
	report.finish(err)
	if err != nil {
		return fmt.Errorf("build kubelab: %w\n%s", errors.Join(err, ctx.Err()), report.messages())
	}
	if err := os.Rename(temp, binary); err != nil {
		return fmt.Errorf("build kubelab: %w", err)
	}
	return nil
}

// packages is how many packages the binary is made of, or 0 when that can't be
// told: the build itself will say why.
func (r recipe) packages(ctx context.Context) int {
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-deps", ".")
	cmd.Dir = r.source
	cmd.Env = buildEnv()
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	return bytes.Count(out, []byte("\n"))
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o100 != 0
}

// lockFile takes an exclusive lock on path, calling waiting once when another
// process has it. The lock goes with the process.
func lockFile(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // which gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		if !waited {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for %s: %w", path, ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}

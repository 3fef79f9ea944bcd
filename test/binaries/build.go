// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/plumbline-dev/plumbline"

// Kind is how programs are built. Two tests of one kind share the files.
type Kind struct {
	Race    bool   // with the race detector; [Race] is that of the test itself
	Tags    string // build tags, separated by commas
	Version string // what the programs say of themselves; empty: devel
}

// Build makes every program of cmd/ and returns their folder. What is there
// and up to date is not linked again. A program that runs from there is not
// disturbed when another is put in its place.
func Build(ctx context.Context, k Kind) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "test", k.folder())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build the programs: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("build the programs: %w", err)
	}
	out, err := exec.CommandContext(ctx, "go", k.arguments(dir)...).CombinedOutput()
	err = errors.Join(err, unlock())
	if err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
}

// arguments are those of the go command. Without the tables for debuggers a
// program is linked in half the time; stack traces don't need them.
func (k Kind) arguments(dir string) []string {
	linker := "-s -w"
	if k.Version != "" {
		linker += " -X " + module + "/internal/process.version=" + k.Version
	}
	args := []string{"build", "-buildvcs=false", "-ldflags", linker, "-o", dir + string(filepath.Separator)}
	if k.Race {
		args = append(args, "-race")
	}
	if k.Tags != "" {
		args = append(args, "-tags", k.Tags)
	}
	return append(args, module+"/cmd/...")
}

// folder names a kind: by what it is, as far as that can be read.
func (k Kind) folder() string {
	parts := []string{"plain"}
	if k.Race {
		parts[0] = "race"
	}
	if k.Tags != "" {
		parts = append(parts, strings.ReplaceAll(k.Tags, ",", "-"))
	}
	if k.Version != "" {
		sum := sha256.Sum256([]byte(k.Version))
		parts = append(parts, hex.EncodeToString(sum[:4]))
	}
	return strings.Join(parts, "-")
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	path := strings.TrimSpace(string(out))
	if filepath.Base(path) != "go.mod" {
		return "", fmt.Errorf("find the module: the go command names %q", path)
	}
	return filepath.Dir(path), nil
}

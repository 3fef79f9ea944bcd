// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// binaries is the folder of the binaries under test.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "plumbline-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The folder outlives a failed run only in the system's temporary files:
	// kubelab.Main exits.
	kubelab.Main(m)
}

// build makes the binaries as make build does, with the race detector where
// the tests have it.
func build(dir string) error {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/plumbline-dev/plumbline/cmd/...")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the binaries: %w\n%s", err, out)
	}
	return nil
}

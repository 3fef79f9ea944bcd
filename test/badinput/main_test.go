// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"flag"
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
	// What runs here at once mostly waits.
	flag.Parse()
	if err := flag.Set("test.parallel", "40"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "plumbline-badinput-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir+string(filepath.Separator), "github.com/plumbline-dev/plumbline/cmd/...").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the binaries: %v\n%s", err, out)
		os.Exit(1)
	}
	// The folder outlives the run in the system's temporary files: kubelab.Main
	// exits.
	kubelab.Main(m)
}

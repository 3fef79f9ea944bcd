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

func TestMain(m *testing.M) {
	// What runs here at once mostly waits.
	flag.Parse()
	if err := flag.Set("test.parallel", "40"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kubelab.Main(m)
}

// binaries is the folder of the binaries under test.
var binaries string

// build makes the binaries, without the race detector: what it would find
// takes a render child past its memory first.
func build(t *testing.T) {
	t.Helper()
	binaries = t.TempDir()
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", binaries+string(filepath.Separator), "github.com/plumbline-dev/plumbline/cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("build the binaries: %v\n%s", err, out)
	}
}

// SPDX-License-Identifier: Apache-2.0

package privileges

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
	dir, err := os.MkdirTemp("", "plumbline-privileges-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "github.com/plumbline-dev/plumbline/cmd/...").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the binaries: %v\n%s", err, out)
		os.Exit(1)
	}
	kubelab.Main(m) // it exits; the folder is one of the system's temporary ones
}

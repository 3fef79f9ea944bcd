// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// binaries is the folder of the binaries under test, with the race detector
// where the tests have it.
var binaries string

func TestMain(m *testing.M) {
	dir, err := rig.Binaries(race)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	kubelab.Main(m)
}

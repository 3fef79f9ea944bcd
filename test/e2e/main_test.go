// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// programs is the folder of the programs under test, with the race detector
// where the tests have it.
var programs string

func TestMain(m *testing.M) {
	dir, err := binaries.Build(context.Background(), binaries.Kind{Race: binaries.Race})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	kubelab.Main(m)
}

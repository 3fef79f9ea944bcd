// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// programs is the folder of the programs under test.
var programs string

func TestMain(m *testing.M) {
	dir, err := binaries.Build(context.Background(), binaries.Kind{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	kubelab.Main(m)
}

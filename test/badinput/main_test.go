// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/test/binaries"
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

// programs is the folder of the programs under test.
var programs string

func build(t *testing.T) {
	t.Helper()
	dir, err := binaries.Build(t.Context(), binaries.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	programs = dir
}

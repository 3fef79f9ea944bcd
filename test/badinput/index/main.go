// SPDX-License-Identifier: Apache-2.0

// Index writes docs/badinput.md: index CORPUS FILE.
package main

import (
	"fmt"
	"os"

	"github.com/plumbline-dev/plumbline/test/badinput"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "index:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want CORPUS FILE")
	}
	inputs, err := badinput.Load(args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], badinput.Index(inputs), 0o600)
}

// SPDX-License-Identifier: Apache-2.0

// Command auditor runs the auditor alone; see package services/auditor.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/auditor"
)

const about = "Auditor compares one cluster with Git's bundles and says what differs:\ndivergence.*. It can write nothing."

func main() {
	process.Main("auditor", about, auditor.Command)
}

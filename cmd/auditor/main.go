// SPDX-License-Identifier: Apache-2.0

// Command auditor runs the auditor alone; see package services/auditor.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/auditor"
)

const about = "Auditor compares one cluster with Git's bundles and says what differs:\ndivergence.*. It can write nothing."

const example = "auditor --nats-creds keys/auditor-local.nk --kubeconfig auditor.kubeconfig \\\n    --digest-key local.digest.key"

func main() {
	process.Main("auditor", about, example, auditor.Command)
}

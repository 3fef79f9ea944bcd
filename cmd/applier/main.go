// SPDX-License-Identifier: Apache-2.0

// Command applier runs the applier alone; see package services/applier.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/applier"
)

const about = "Applier converges one cluster to its bundles: convergence.*. It also heals what\nthe auditor finds, and removes what is no longer declared."

const example = "applier --nats-creds keys/applier-local.nk --kubeconfig applier.kubeconfig \\\n    --age-identity local.age"

func main() {
	process.Main("applier", about, example, applier.Command)
}

// SPDX-License-Identifier: Apache-2.0

// Command watcher runs the watcher alone; see package services/watcher.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/watcher"
)

const about = "Watcher reads the fleet and the repositories that it declares, and publishes each\nnew revision: commit.observed, fleet.observed, source.unreachable."

const example = "watcher --nats-creds keys/watcher.nk --fleet https://git.example.com/fleet.git \\\n    --mirrors mirrors --source-key source.key --local-recipient local.recipient"

func main() {
	process.Main("watcher", about, example, watcher.Command)
}

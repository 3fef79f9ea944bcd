// SPDX-License-Identifier: Apache-2.0

// Command notifier runs the notifier alone; see package services/notifier.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/notifier"
)

const about = "Notifier tells people in Slack what is wrong and when it is over: one thread per\nincident. It holds the Slack token and nothing else."

const example = "notifier --nats-creds keys/notifier.nk --slack-channel ops \\\n    --slack-token-file slack.token"

func main() {
	process.Main("notifier", about, example, notifier.Command)
}

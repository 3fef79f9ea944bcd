// SPDX-License-Identifier: Apache-2.0

package natsconfig

import "strings"

// Witness is what a service has seen of the log: in the life Epoch, a message
// with ID lay at the place Last. The service writes it into the stream ATTEMPTS
// each time it comes back to the bus; the provisioner compares it with the log.
type Witness struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"` // stored sequence
	// ID is the message's Nats-Msg-Id; empty: it had none, and Last alone counts.
	ID string `json:"id,omitempty"`
}

// Testifies reports whether a user's word of the log counts. Each of these can
// have everything said again anyway, by what it publishes: to the others the
// power to turn the epoch is not given.
func Testifies(user string) bool {
	return user == "watcher" || user == "renderer" || strings.HasPrefix(user, "applier-")
}

// WitnessFilter matches the subjects of all witnesses.
const WitnessFilter = "plumbline.attempts.*.seen"

const witnessPrefix, witnessSuffix = "plumbline.attempts.", ".seen"

// WitnessSubject is where a user's last word of the log lies.
func WitnessSubject(user string) string { return witnessPrefix + user + witnessSuffix }

// WitnessUser is whose word lies on a subject that [WitnessFilter] matches.
func WitnessUser(subject string) string {
	return strings.TrimSuffix(strings.TrimPrefix(subject, witnessPrefix), witnessSuffix)
}

// SPDX-License-Identifier: Apache-2.0

package natsconfig

// Witness is what a service has seen of the log: in the life Epoch, the event ID
// lay at the place Last. The service writes it into the stream ATTEMPTS each
// time it comes back to the bus; the provisioner compares it with the log.
type Witness struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"` // stored sequence
	// ID is the event's; empty: not known, and Last alone counts.
	ID string `json:"id,omitempty"`
}

// WitnessFilter matches the subjects of all witnesses.
const WitnessFilter = "plumbline.attempts.*.seen"

// WitnessSubject is where a user's last word of the log lies.
func WitnessSubject(user string) string { return "plumbline.attempts." + user + ".seen" }

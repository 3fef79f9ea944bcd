// SPDX-License-Identifier: Apache-2.0

package events

// AlertDelivered says where an alert went.
type AlertDelivered struct {
	Channel  string `json:"channel"`            // that it went to
	Thread   string `json:"thread"`             // that it is part of there
	Event    string `json:"event"`              // id of the event that it is about
	Resolved bool   `json:"resolved,omitempty"` // whether it says that the matter is over
}

// AlertFailed says why an alert can't be delivered.
type AlertFailed struct {
	Channel string `json:"channel"` // that it was for
	Event   string `json:"event"`   // id of the event that it is about
	Reason  Reason `json:"reason"`
	Message string `json:"message"` // for people
}

// MessageRejected is an input that a service could not take.
type MessageRejected struct {
	Service  string `json:"service"` // that could not take it
	Subject  string `json:"subject"` // that it came on
	Stored   uint64 `json:"stored"`  // its sequence in the log
	Reason   Reason `json:"reason"`
	Message  string `json:"message"`            // for people
	Attempts int    `json:"attempts,omitempty"` // where it was counted out
	// Original is the message as it came; nil where it could not be kept.
	Original *Blob `json:"original,omitempty"`
}

// SyncRequested asks everyone to look now: at one application, or, without
// one, everywhere.
type SyncRequested struct {
	By string `json:"by"` // the operator's name for itself
}

// ApprovalGiven lets what is held under Hold go.
type ApprovalGiven struct {
	Hold string `json:"hold"` // the digest of convergence.held or application.withdrawn
	By   string `json:"by"`   // the operator's name for itself
}

func (*AlertDelivered) payload()  {}
func (*AlertFailed) payload()     {}
func (*MessageRejected) payload() {}
func (*SyncRequested) payload()   {}
func (*ApprovalGiven) payload()   {}

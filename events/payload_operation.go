// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// AlertDelivered says where an alert went. The key of its subject is that of
// the incident that it is about, so the last one tells what people know of it.
type AlertDelivered struct {
	Channel string `json:"channel"` // that it went to
	Thread  string `json:"thread"`  // that it is part of there
	// Message is the alert's own place in the thread; empty: it began it.
	Message  string `json:"message,omitempty"`
	Event    string `json:"event"`              // id of the event that it is about
	Place    uint64 `json:"place,omitempty"`    // of that event in the log
	Resolved bool   `json:"resolved,omitempty"` // whether it says that the matter is over
	// Digest says that it was told of together with others, in one message.
	Digest bool `json:"digest,omitempty"`
	// Says is what it said in short: type of event, reason, commit. What says
	// the same again is no news.
	Says  string    `json:"says,omitempty"`
	Since time.Time `json:"since,omitzero"` // when the matter began
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

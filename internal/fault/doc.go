// SPDX-License-Identifier: Apache-2.0

// Package fault classifies errors by what is to be done about them, not by
// where they come from.
//
// A handler's error is retryable unless it says otherwise. [Terminal] says
// that the input itself is at fault, so that trying again can't help;
// [RetryAfter] sets the delay; [Outage] says that a dependency is out, which
// pauses the consumer and is counted against no input.
package fault

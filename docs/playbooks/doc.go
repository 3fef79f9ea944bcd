// SPDX-License-Identifier: Apache-2.0

// Package playbooks holds one page per alert and reason code: what it means,
// what Plumbline does meanwhile, where to look, how to mend it, and when it
// closes.
//
// It names the page of an event, and where the page can be read. It consumes
// and emits nothing, owns no state, and decides nothing.
package playbooks

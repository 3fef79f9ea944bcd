// SPDX-License-Identifier: Apache-2.0

// Package fleet reads the fleet: the declarations of repositories, clusters
// and applications, and what becomes of them from one commit to the next.
//
// [Parse] is strict: whatever it doesn't understand is a [Rejection] that
// names file, line and field and says what would be right. [Merge] holds what
// is in force against what was read: an application whose declaration is
// invalid, or may stand in something that can't be read, is held, which is to
// say that it stays as it was declared before. Only what is certainly no
// longer declared is withdrawn.
//
// Everything here is pure: no client, no clock, no log. It does not fetch the
// fleet, and it does not publish: the watcher does.
package fleet

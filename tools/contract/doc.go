// SPDX-License-Identifier: Apache-2.0

// Package contract derives from the Go source of events and fleet what others
// read of them: the JSON Schemas of every event and declaration, docs/events.md
// and docs/declarations.md.
//
// [Files] makes them in memory; the command below it writes them, and a test
// compares them with what is committed. It describes what the code does and
// decides nothing itself.
package contract

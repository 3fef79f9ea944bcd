// SPDX-License-Identifier: Apache-2.0

// Package events is the contract: the types of event that travel on the bus,
// their payloads, subjects and schemas, and the codec between them and
// CloudEvents 1.0.
//
// Services meet here and nowhere else. [Types] is the single source: subjects,
// JSON Schemas, docs/events.md and the streams that must cover them are
// derived from it and tested for drift.
//
// Within v1 a payload only gains optional fields; readers ignore fields that
// they don't know. Anything else is a v2 on a parallel subject tree.
package events

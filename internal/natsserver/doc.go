// SPDX-License-Identifier: Apache-2.0

// Package natsserver runs a NATS server with JetStream inside the process, on
// the files of deploy/nats: the same configuration, users and permissions as a
// server of its own would have, on loopback.
//
// It owns one folder:
//
//	keys/<user>.nk  the seed of each user's key, made once, mode 0600
//	server.conf     as shipped
//	users.conf      the users' accounts, public keys and permissions, written at each start
//	jetstream/      the store
//	seen.json       the furthest place in the log that was seen: outside the
//	                store, so that a store put back from a backup is noticed
//
// [Start] runs the server alone. [Serve] also provisions in a loop and watches
// over the store: one that is lost underneath a running server goes on
// acknowledging for a while, then hangs, and still says that it is healthy.
package natsserver

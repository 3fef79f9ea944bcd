// SPDX-License-Identifier: Apache-2.0

// Package natsconfig is the configuration of Plumbline's bus: the server's,
// the streams', the consumers' and the users', as files that the plain NATS
// tools take too.
//
//	server.conf      the server; it includes users.conf, which [UsersConf] writes
//	streams/*.json   what nats stream add --config takes
//	consumers/*.json what nats consumer add --config takes, once {cluster} is filled in
//	users/*.json     one user each: the subjects that it may publish and subscribe to
//
// Everything that Plumbline runs itself, its tests included, runs on these
// very files. The package reads them and fills in clusters and keys; it speaks
// to no server and holds no key but public ones.
package natsconfig

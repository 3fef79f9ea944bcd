// SPDX-License-Identifier: Apache-2.0

// Package freeport finds ports of 127.0.0.1 for processes that are told by
// number where to listen.
//
// A port that the kernel chose, once it is given back, may be somebody else's
// before the process listens: the kernel gives it to the next outgoing connection,
// or to who asks for any. So these are below the range that it chooses from (Linux:
// 32768 and up, ip_local_port_range in ip(7)).
package freeport

// SPDX-License-Identifier: Apache-2.0

// Package cli tests those commands of plumbline that look into a cluster: the
// binary itself, a real bus, a real API server, and scripts that play the
// services and the people who edit by hand.
package cli

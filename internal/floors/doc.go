// SPDX-License-Identifier: Apache-2.0

// Package floors holds no code: its tests say which package of the module may
// import what, and why, and check it against what go list says.
//
// Floor 0 is the contract and what is pure around it, floor 1 the bus and the
// process, floor 2 the services, floor 3 the commands. Imports go down only. A
// package that no floor names fails the test: whoever adds one says where it
// stands.
package floors

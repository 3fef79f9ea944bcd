// SPDX-License-Identifier: Apache-2.0

// Package binaries builds Plumbline's programs for the tests that run them as
// processes of their own.
//
// The packages of one test run share what they build, and the next run finds
// it: linking a program costs seconds, and asking the go command whether it is
// up to date a fraction of one. Each [Kind] has a folder below bin/test of the
// module, which a file lock guards, and which `make clean` removes.
package binaries

// SPDX-License-Identifier: Apache-2.0

// Package readme holds no code: its test runs the blocks of README.md that are
// marked for it, as they stand there, against a real control plane.
//
// A marker is an HTML comment in the line before a block:
//
//	<!-- test -->             run its lines, one after the other
//	<!-- test: background --> start its lines and go on
//	<!-- test: file NAME -->  write it to a file
package readme

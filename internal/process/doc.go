// SPDX-License-Identifier: Apache-2.0

// Package process is what every binary of Plumbline shares around its
// service: signals, flags, logging, the exit code.
package process

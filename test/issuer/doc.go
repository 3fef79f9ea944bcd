// SPDX-License-Identifier: Apache-2.0

// Package issuer makes certificates for the servers of tests: an authority of
// the test's own, and what it issues for names and addresses. Nothing of it is
// kept, and nothing outside of a test may trust it.
package issuer

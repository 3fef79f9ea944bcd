// SPDX-License-Identifier: Apache-2.0

// Package deploy tests how Plumbline is deployed: that a real API server takes
// what deploy/kubernetes and the Tiltfile would apply, that it fits what the
// binaries and the keys command know, and that it asks for no more than it
// says.
package deploy

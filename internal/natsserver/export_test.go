// SPDX-License-Identifier: Apache-2.0

package natsserver

// Refused is [Server.refused].
var Refused = (*Server).refused

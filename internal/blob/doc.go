// SPDX-License-Identifier: Apache-2.0

// Package blob keeps bodies that are too large for an event: written once,
// named by their content or by a name that stands for it, cut into chunks of
// 512 KiB, and verified against their digest on every read.
//
// A blob lies on the subjects <name>.0, <name>.1, ... of the stream BLOBS,
// which takes one message per subject and refuses a second. Each writer has
// its own prefix; readers use Direct Get, so neither needs a right over the
// stream or over a consumer. The last chunk is written last: a blob whose last
// chunk is there is whole.
//
// The package owns no connection and never deletes: the provisioner sweeps
// blobs that no kept event reaches, so a reader meets [ErrMissing] and asks the
// level again.
package blob

// SPDX-License-Identifier: Apache-2.0

package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// ID is the id of an event of type t at a that cause led to; variant tells
// several of them apart. Equal in, equal out: what a crash makes twice has one
// id. It is <noun>.<verb>-<32 hex digits>.
func ID(cause Cause, t *Type, a Address, variant string) string {
	h := sha256.New()
	for _, part := range []string{cause.ID, t.CloudEvent(), a.Cluster, a.Application, a.Key, variant} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return t.Name() + "-" + hex.EncodeToString(h.Sum(nil)[:16])
}

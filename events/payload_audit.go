// SPDX-License-Identifier: Apache-2.0

package events

// AuditLimited says which objects of an application are not audited, or only
// in part. With none, all are again.
type AuditLimited struct {
	// Objects are at most [MaxInline] of them; Count counts them all.
	Objects []LimitedObject `json:"objects,omitempty"`
	Count   int             `json:"count"` // how many objects are not wholly audited; 0: all are
}

// LimitedObject is one object that is not wholly audited.
type LimitedObject struct {
	Object
	Reason  Reason `json:"reason"`  // forbidden: not audited | no_digest_key: the values of a Secret are not compared
	Message string `json:"message"` // for people
}

func (*AuditLimited) payload()        {}
func (p *AuditLimited) bounds() error { return atMost(len(p.Objects), "objects") }

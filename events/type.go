// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"reflect"
)

// Scope says which tokens follow noun and verb in a type's subject.
type Scope int

const (
	// ScopeApplication ends in cluster and application.
	ScopeApplication Scope = iota
	// ScopeCluster ends in cluster and "_".
	ScopeCluster
	// ScopeKey ends in cluster, application and one more token, the key:
	// the divergence, the repository, the declaration or the service.
	ScopeKey
)

// Type is one row of [Types].
type Type struct {
	Noun, Verb string
	Scope      Scope
	Emitter    string // the service that publishes it; "any" for message.rejected
	Says       string // one line for docs/events.md
	Payload    Payload
}

// Payload is implemented by a pointer to every payload struct.
type Payload interface{ payload() }

// Name is the short name, "noun.verb".
func (t *Type) Name() string { return t.Noun + "." + t.Verb }

// CloudEvent is the CloudEvents type attribute, "dev.plumbline.noun.verb.v1".
func (t *Type) CloudEvent() string {
	return "dev.plumbline." + t.Noun + "." + t.Verb + ".v1"
}

// Schema is the id of the JSON Schema of the payload, an immutable URI.
func (t *Type) Schema() string {
	return "https://plumbline.dev/schema/" + t.Noun + "." + t.Verb + ".v1.json"
}

// New returns a pointer to a zero payload.
func (t *Type) New() Payload {
	return reflect.New(reflect.TypeOf(t.Payload).Elem()).Interface().(Payload)
}

// TypeOf returns the row of a payload. It panics on a payload that no row
// names: [Types] is complete by a test.
func TypeOf(p Payload) *Type {
	t, ok := byPayload[reflect.TypeOf(p)]
	if !ok {
		panic(fmt.Sprintf("events: %T is not in Types", p))
	}
	return t
}

// TypeNamed returns the row with the short name "noun.verb", or nil.
func TypeNamed(name string) *Type { return byName[name] }

var (
	byPayload    = map[reflect.Type]*Type{}
	byName       = map[string]*Type{}
	byCloudEvent = map[string]*Type{}
)

func init() {
	for i := range Types {
		t := &Types[i]
		byPayload[reflect.TypeOf(t.Payload)] = t
		byName[t.Name()] = t
		byCloudEvent[t.CloudEvent()] = t
	}
}

// SPDX-License-Identifier: Apache-2.0

package events

import "embed"

//go:generate go run ../tools/contract/generate -root ..

//go:embed schema/*.json
var schemas embed.FS

// Schema is the JSON Schema (2020-12) of the data of events of type t. It lets
// fields through that it doesn't know.
func Schema(t *Type) []byte {
	text, err := schemas.ReadFile("schema/" + t.Name() + ".v1.json")
	if err != nil {
		panic("events: " + t.Name() + " has no schema; run make generate") // every type has one by a test
	}
	return text
}

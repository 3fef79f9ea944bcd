// SPDX-License-Identifier: Apache-2.0

package faults

import "testing"

// What a fault that only delivers again has written is found.
func TestPlantedNeedlessWrites(t *testing.T) {
	quiet := Record{Begun: &FaultRun{Round: 2, Row: "F11", Name: "redelivered", Quiet: true}}
	planted(t, map[string]func(*tale) string{
		"an inventory for a repeated delivery": func(t *tale) string {
			t.add(quiet)
			for range 3 {
				t.keep()
			}
			return "the inventory of shop was written"
		},
		"an object that is made for a repeated delivery": func(t *tale) string {
			t.add(quiet)
			t.write(Object{Kind: "ConfigMap", Name: "cm-6", Fields: map[string]string{"data.a": "one"}}, "digest of one")
			return "I3"
		},
		"an object that is deleted for a repeated delivery": func(t *tale) string {
			t.add(quiet)
			t.remove("/ConfigMap/ns/cm-0")
			return "I3"
		},
	})
	good(t, map[string]func(*tale){
		"what is put right at the end of a repeated delivery": func(t *tale) {
			t.add(quiet)
			t.converge("c2", t.declare(6, "two"))
		},
	})
}

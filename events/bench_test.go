// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// busiest are the types that a commit makes one of per application.
var busiest = []string{"commit.observed", "manifests.rendered", "manifests.unchanged", "convergence.applied"}

// BenchmarkDecode is what each service pays for each event that it reads.
func BenchmarkDecode(b *testing.B) {
	for _, name := range busiest {
		b.Run(name, func(b *testing.B) {
			w := readWritten(b, goldenPath(events.TypeNamed(name)))
			b.SetBytes(int64(len(w.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := events.Decode(w.subject, w.headers, w.body, 7); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncode is what each service pays for each event that it publishes.
func BenchmarkEncode(b *testing.B) {
	for _, name := range busiest {
		b.Run(name, func(b *testing.B) {
			w := readWritten(b, goldenPath(events.TypeNamed(name)))
			e, err := events.Decode(w.subject, w.headers, w.body, 7)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := events.Encode(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

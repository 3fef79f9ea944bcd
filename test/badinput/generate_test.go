// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"testing"
)

// What is said to be a bomb is one: small, and valid to its last byte.
func TestZerosInflate(t *testing.T) {
	const size = 50_000_000
	small, err := zeros(size)
	if err != nil {
		t.Fatal(err)
	}
	if len(small) > size/900 {
		t.Errorf("%d zeros take %d bytes", size, len(small))
	}
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for buffer := make([]byte, 1<<20); ; {
		m, err := z.Read(buffer)
		if n += m; bytes.Count(buffer[:m], []byte{0}) != m {
			t.Fatal("not all are zeros")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != size {
		t.Errorf("it inflates to %d bytes, want %d", n, size)
	}
}

func TestDeflatedZeros(t *testing.T) {
	const n = 5<<20 + 7
	r, err := zlib.NewReader(bytes.NewReader(deflatedZeros(n)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r) // which looks at the sum too
	if err != nil || !bytes.Equal(got, make([]byte, n)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

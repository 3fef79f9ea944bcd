// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"io"
	"testing"
)

// hidden are the forms in which a secret may lie in a file.
func hidden(t *testing.T, secret string) map[string]string {
	t.Helper()
	zip := func(w io.WriteCloser, b *bytes.Buffer) string {
		if _, err := w.Write([]byte("before " + secret + " behind")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return "xx" + b.String() + "yy"
	}
	var g, z bytes.Buffer
	forms := map[string]string{
		"plain": "token=" + secret, "hex": hex.EncodeToString([]byte(secret)),
		"gzip": zip(gzip.NewWriter(&g), &g), "zlib": zip(zlib.NewWriter(&z), &z),
	}
	for shift, before := range []string{"", "x", "xy"} {
		forms["base64 at "+string(rune('0'+shift))] = base64.StdEncoding.EncodeToString([]byte(before + secret))
	}
	forms["gzip in base64"] = base64.StdEncoding.EncodeToString([]byte(forms["gzip"][2:]))
	forms["base64 in base64"] = base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("some text before " + secret))))
	return forms
}

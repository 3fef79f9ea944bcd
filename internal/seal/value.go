// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Prefix starts every sealed value.
const Prefix = "plumbline:sealed:v1:"

// ErrValue says that a text is no sealed value, or can't be opened with the
// identity at hand. Its text holds nothing of the value.
var ErrValue = errors.New("no sealed value, or sealed to another identity")

// DigestKey keys the HMACs in the sealed values of one cluster.
type DigestKey struct{ key []byte }

// NewDigestKey makes a digest key of the [KeySize] bytes of a key file.
func NewDigestKey(secret []byte) (DigestKey, error) {
	if len(secret) != KeySize {
		return DigestKey{}, fmt.Errorf("a digest key has %d bytes, not %d", KeySize, len(secret))
	}
	return DigestKey{bytes.Clone(secret)}, nil
}

// String keeps the key out of logs.
func (k DigestKey) String() string { return "digest key" }

// GoString keeps the key out of %#v.
func (k DigestKey) GoString() string { return "digest key" }

// Zero reports whether k is no key at all.
func (k DigestKey) Zero() bool { return len(k.key) == 0 }

// Sum is the hex HMAC-SHA-256 of a value.
func (k DigestKey) Sum(plain []byte) string { return hex.EncodeToString(mac(k.key, plain)) }

// Seal seals one value to a recipient. Two calls give two ciphertexts and one
// HMAC.
func Seal(plain []byte, to Recipient, key DigestKey) (string, error) {
	if key.Zero() {
		return "", errors.New("seal: no digest key")
	}
	if to.recipient == nil {
		return "", errors.New("seal: no recipient")
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to.recipient)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return Prefix + key.Sum(plain) + ":" + base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// Open is the inverse of [Seal]. Its error wraps [ErrValue].
func Open(value string, with Identity) ([]byte, error) {
	_, cipher, ok := split(value)
	if !ok || cipher == "" {
		return nil, ErrValue
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(cipher)
	if err != nil {
		return nil, ErrValue
	}
	r, err := age.Decrypt(bytes.NewReader(raw), with.identities...)
	if err != nil {
		return nil, ErrValue
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, ErrValue
	}
	return plain, nil
}

// Matches reports whether a live value is the one that was sealed.
func Matches(value string, plain []byte, key DigestKey) bool {
	sum, _, ok := split(value)
	return ok && !key.Zero() && hmac.Equal([]byte(sum), []byte(key.Sum(plain)))
}

// Sealed reports whether a text has the form of a sealed value, with or
// without its ciphertext.
func Sealed(value string) bool {
	_, _, ok := split(value)
	return ok
}

// Identifying is the part of a sealed value that digests are made of: all but
// the ciphertext. Any other text is returned as it is.
func Identifying(value string) string {
	sum, _, ok := split(value)
	if !ok {
		return value
	}
	return Prefix + sum
}

// split takes a sealed value apart; cipher is empty in the form that
// [Identifying] gives.
func split(value string) (sum, cipher string, ok bool) {
	rest, ok := strings.CutPrefix(value, Prefix)
	if !ok {
		return "", "", false
	}
	sum, cipher, _ = strings.Cut(rest, ":")
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", "", false
	}
	return sum, cipher, true
}

// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of the source key and of every digest key, in bytes.
const KeySize = 32

// ErrSource says that an encrypted source was not made with this key, or was
// changed since. Its text holds nothing of the content.
var ErrSource = errors.New("the source is not encrypted with this source key, or is damaged")

// header names the format of an encrypted source.
const header = "plumbline source v1\n"

// SourceKey is the secret that watcher and renderer share. It is safe for
// concurrent use.
type SourceKey struct {
	root           [KeySize]byte
	name, siv, enc []byte
}

// NewSourceKey makes a source key of [KeySize] secret random bytes.
func NewSourceKey(secret []byte) (*SourceKey, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a source key has %d bytes, not %d", KeySize, len(secret))
	}
	k := &SourceKey{}
	copy(k.root[:], secret)
	k.name = derive(secret, "plumbline source name v1")
	k.siv = derive(secret, "plumbline source siv v1")
	k.enc = derive(secret, "plumbline source encryption v1")
	return k, nil
}

// String keeps the key out of logs.
func (k *SourceKey) String() string { return "source key" }

// GoString keeps the key out of %#v.
func (k *SourceKey) GoString() string { return "source key" }

// Name is the name under which a content is stored: 64 hex digits that tell
// nothing of id without the key. id is what identifies the content, such as
// the id of a Git tree; equal ids give equal names.
func (k *SourceKey) Name(id string) string {
	return hex.EncodeToString(mac(k.name, []byte(id)))
}

// EncryptSource encrypts content. Equal contents give equal names and bytes.
// The name is that of the content's own digest; who knows the content by
// another id stores it under [SourceKey.Name] of that.
func (k *SourceKey) EncryptSource(plain []byte) (name string, sealed []byte) {
	siv := mac(k.siv, plain)
	prefix := append([]byte(header), siv...)
	sealed = make([]byte, len(prefix), len(prefix)+len(plain)+16)
	copy(sealed, prefix)
	sealed = k.aead(siv).Seal(sealed, make([]byte, 12), plain, prefix)
	sum := sha256.Sum256(plain)
	return k.Name(hex.EncodeToString(sum[:])), sealed
}

// DecryptSource is the inverse of [SourceKey.EncryptSource]. Its error wraps
// [ErrSource].
func (k *SourceKey) DecryptSource(sealed []byte) ([]byte, error) {
	n := len(header) + sha256.Size
	if len(sealed) < n || string(sealed[:len(header)]) != header {
		return nil, fmt.Errorf("%w: unknown format", ErrSource)
	}
	prefix, body := sealed[:n], sealed[n:]
	siv := prefix[len(header):]
	plain, err := k.aead(siv).Open(nil, make([]byte, 12), body, prefix)
	if err != nil {
		return nil, ErrSource
	}
	if !hmac.Equal(siv, mac(k.siv, plain)) {
		return nil, ErrSource
	}
	return plain, nil
}

// DigestKey is the key of the HMACs in sealed values of one cluster.
func (k *SourceKey) DigestKey(cluster string) DigestKey {
	return DigestKey{derive(k.root[:], "plumbline digest key v1 "+cluster)}
}

// aead is the cipher for the one content that siv belongs to.
func (k *SourceKey) aead(siv []byte) cipher.AEAD {
	block, err := aes.NewCipher(derive(k.enc, "plumbline source content v1 "+string(siv)))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block size that GCM asks for
	}
	return gcm
}

func derive(secret []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, label, KeySize)
	if err != nil {
		panic(err) // only for more than 255 blocks
	}
	return key
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

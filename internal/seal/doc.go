// SPDX-License-Identifier: Apache-2.0

// Package seal keeps plaintext off the bus: sources of Git are encrypted with
// the source key, values of Secrets are sealed to a cluster's age recipient.
// It reads and writes key files and touches nothing else.
//
// # Sources
//
// The watcher encrypts, the renderer decrypts; both hold the 32 byte source
// key and nobody else does. Encryption is deterministic, so that equal
// content is stored once. The construction is a synthetic-IV scheme (the idea
// of RFC 5297, with the parts of the standard library):
//
//	siv  = HMAC-SHA-256(K_siv, content)
//	key  = HKDF-SHA-256(K_enc, siv)             one AES-256 key for one content
//	body = AES-256-GCM(key, nonce 0, content, associated data = header ‖ siv)
//	file = header ‖ siv ‖ body
//
// K_siv, K_enc and the key of the names are derived from the source key by
// HKDF with labels of their own. Security: siv is a pseudo-random function of
// the content, so two contents get the same key only where HMAC-SHA-256
// collides (2^-128 at 2^64 contents); each derived key therefore encrypts one
// content under its one nonce, which is all that GCM asks. A reader without
// the key learns the length of a content, and whether two contents are equal:
// that is the price of storing them once, and is meant. After decryption siv
// is computed again and compared, so that a change that GCM let through is
// still refused.
//
// # Values
//
// A value of a Secret becomes "plumbline:sealed:v1:<hmac>:<ciphertext>": the
// hex HMAC-SHA-256 of the value under the cluster's digest key, and the base64
// age ciphertext of it. The ciphertext differs each time, the HMAC does not:
// digests are made of the HMAC alone. The digest key is derived from the
// source key and the cluster's name, so what holds for one cluster tells
// nothing in another; the auditor gets only its own. Without the digest key a
// value can't be guessed from its HMAC, however short it is; who reads two
// sealed values of one cluster learns whether they are equal.
//
// A Secret's stringData is folded into data before it is sealed, as the API
// server does when it stores one (core/v1 Secret: stringData overwrites
// data): the sealed form has no stringData. Any text of Git that looks like a
// sealed value is sealed like every other text, so nothing is ever opened
// twice.
package seal

// SPDX-License-Identifier: Apache-2.0

// Package canary makes secrets that are planted where secrets belong, and
// searches for them where none may be.
//
//	secrets := canary.New(seed, 1000)
//	plant(secrets.Value(7))
//	hits := secrets.Find("watcher.log", log)
//
// A secret is found in clear, in either case, and in whatever it was wrapped
// in: base64 at any alignment and in either alphabet, hex, decimal bytes,
// percent, JSON, Go and XML escapes, UTF-16, gzip, zlib (so the objects of a
// Git pack), zstd, S2 and Snappy; each inside any other, to a depth of
// [Depth]. It need not be whole: [Fragment] bytes of it in a row are enough,
// so a secret of [Size] bytes that is cut in two, over messages, chunks or
// blocks of a file, is found on either side. What stands between the parts of
// it doesn't help either, as long as it is no letter and no digit.
//
// Secrets that somebody else made, as keys are, are searched for beside them, or
// alone, in a set that [Set.With] returns: in the same wrappings, with and without
// the separators that belong to them. What of a key is the secret is what to give
// it, without what stands in every file of the kind: of a private key the number,
// which is found in its DER, its PEM and the base64 of either.
//
// What is not found: pieces shorter than [Fragment] with letters between them,
// raw DEFLATE (nothing marks where it begins), and what is encrypted, which is
// meant. The second half of a compressed stream can't be read by itself: who
// reads chunks joins them first, as [Set.FindStream] does.
package canary

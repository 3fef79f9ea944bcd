// SPDX-License-Identifier: Apache-2.0

// Package rewind finds out that a cluster was restored from a backup.
//
// Such a cluster has the past of then. Its resourceVersions may come back too,
// and then nothing shows that by itself: a watch goes on at a version that lies
// in the future and tells nothing, and what is remembered looks newer than what
// is read. So who opens a watch asks how far the API server has come, and who
// reads compares with what it knew.
//
// It reads by what it is given, keeps nothing, and does not say what follows from
// a restore: that is the applier's and the auditor's own.
package rewind

// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package watcher

// lock does nothing where files can't be locked in one way for all: there one
// watcher must not be given another's folder.
func lock(string) (unlock func(), err error) { return func() {}, nil }

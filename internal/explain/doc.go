// SPDX-License-Identifier: Apache-2.0

// Package explain answers why an object is as it is: which application and
// which line of Git declare it, in which revision it last changed, who applied
// it when, and what differs or differed. It also understands how people name a
// kind and a field.
//
// It is a pure fold over events; who calls it reads the log and the cluster. It
// decides nothing and compares nothing: package compare does.
package explain

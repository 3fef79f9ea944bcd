// SPDX-License-Identifier: Apache-2.0

// Package compare compares a live object with what Git declares of it, as
// Kubernetes means it: defaults and additions of others are no difference,
// items of a list are told by their keys, quantities by value. What the API
// server recorded in managedFields says how a list is addressed and who wrote
// what differs.
//
// It is pure: no cluster, no clock. The value of a Secret never enters a
// result. What a difference means for an application, and when it is told, is
// the auditor's to decide.
package compare

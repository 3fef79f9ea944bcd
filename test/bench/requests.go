// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func exists(err error) bool { return apierrors.IsAlreadyExists(err) }

// requests counts what Plumbline asked of the API server since a moment, by
// its users in the audit log; watches and leases apart. -1: it can't be read.
func (s *scene) requests(ctx context.Context, from time.Time) int {
	if err := pause(ctx, time.Second); err != nil { // it is written a moment after the answer
		return -1
	}
	all, err := s.rig.Cluster.Requests(from)
	if err != nil {
		s.progress("requests: %v", err)
		return -1
	}
	n := 0
	for _, r := range all {
		if strings.HasPrefix(r.User, "plumbline-") && r.Verb != "watch" && r.Resource != "leases" {
			n++
		}
	}
	return n
}

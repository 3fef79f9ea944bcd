// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func exists(err error) bool { return apierrors.IsAlreadyExists(err) }

// asked is what Plumbline asked of the API server since a moment, by its users
// in the audit log; watches and leases apart.
func (s *scene) asked(ctx context.Context, from time.Time) ([]kubelab.Request, error) {
	if err := pause(ctx, time.Second); err != nil { // it is written a moment after the answer
		return nil, err
	}
	all, err := s.rig.Cluster.Requests(from)
	if err != nil {
		return nil, fmt.Errorf("count requests: %w", err)
	}
	var ours []kubelab.Request
	for _, r := range all {
		if strings.HasPrefix(r.User, "plumbline-") && r.Verb != "watch" && r.Resource != "leases" {
			ours = append(ours, r)
		}
	}
	return ours, nil
}

// requests adds their number to the report.
func (s *scene) requests(ctx context.Context, measure string, from time.Time) error {
	asked, err := s.asked(ctx, from)
	if err == nil {
		s.report.count(measure, s.n, float64(len(asked)))
	}
	return err
}

// inventories is the namespace of the applier's own records.
const inventories = "plumbline-system"

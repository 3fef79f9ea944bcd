// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// throttled is the level of who is throttled; spare lends all that it has.
const (
	throttled = "rig-throttled"
	spare     = "rig-spare"
)

// Throttle has the API server's priority and fairness give the applier one seat,
// and refuse with 429 what finds it taken. Seats are a share of all that there
// are: a second level takes nearly all of them and lends them to everyone else.
func (k *Kube) Throttle(ctx context.Context) error {
	flow := k.Typed.FlowcontrolV1()
	none, all := int32(0), int32(100)
	one, many := int32(1), int32(100_000)
	levels := []*flowcontrolv1.PriorityLevelConfiguration{
		level(throttled, &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &one, LendablePercent: &none, BorrowingLimitPercent: &none,
			LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
		}),
		level(spare, &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &many, LendablePercent: &all,
			LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
		}),
	}
	for _, l := range levels {
		if _, err := flow.PriorityLevelConfigurations().Create(ctx, l, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("rig: throttle: %w", err)
		}
	}
	every := []string{"*"}
	schema := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: throttled}, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: throttled},
		MatchingPrecedence:         2, // 1 is the API server's own
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects: []flowcontrolv1.Subject{{Kind: rbacv1.UserKind, User: &flowcontrolv1.UserSubject{Name: ApplierUser}}},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
				Verbs: []string{"create", "update", "patch", "delete", "get"}, APIGroups: every, Resources: every, ClusterScope: true, Namespaces: every,
			}},
		}},
	}}
	if _, err := flow.FlowSchemas().Create(ctx, schema, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("rig: throttle: %w", err)
	}
	return nil
}

// Unthrottle undoes [Kube.Throttle].
func (k *Kube) Unthrottle(ctx context.Context) error {
	flow := k.Typed.FlowcontrolV1()
	err := errors.Join(
		gone(flow.FlowSchemas().Delete(ctx, throttled, metav1.DeleteOptions{})),
		gone(flow.PriorityLevelConfigurations().Delete(ctx, throttled, metav1.DeleteOptions{})),
		gone(flow.PriorityLevelConfigurations().Delete(ctx, spare, metav1.DeleteOptions{})),
	)
	if err != nil {
		return fmt.Errorf("rig: unthrottle: %w", err)
	}
	return nil
}

func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func level(name string, limited *flowcontrolv1.LimitedPriorityLevelConfiguration) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: limited},
	}
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
)

// MintReadOnlyFrom is [MintReadOnly] as the administrator that a kubeconfig
// file names.
func MintReadOnlyFrom(ctx context.Context, kubeconfig, dir string, g Grant) (*Identity, error) {
	admin, err := loadConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("mint a read-only identity: %w", err)
	}
	return MintReadOnly(ctx, admin, dir, g)
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

const (
	guardSmall = 4 // an application of so many objects may lose any of them
	guardShare = 2 // of a larger one, at most one part in so many goes at once

	// fleetShare is the part of a cluster's applications, in per cent, that
	// may be withdrawn at once. A single one may always be, as long as others
	// stay: else nothing could ever be withdrawn from a small fleet.
	fleetShare = 30
)

// Hold is what waits for an approval.
type Hold struct {
	// Digest binds an approval to exactly this: see [holdDigest].
	Digest  string
	Reason  events.Reason
	Message string
	Objects []events.Object
}

// guardPrune decides whether going may be deleted from an application that
// owns so many objects.
func guardPrune(owned int, going []events.Object) (events.Reason, string) {
	for _, o := range going {
		if protected[groupKind(o)] {
			return events.ReasonProtectedKind, fmt.Sprintf(
				"%s would be deleted, and what depends on it with it; %s. Approve it, or declare it again",
				o, objects(len(going), "is", "are")+" held")
		}
	}
	if owned > guardSmall && len(going)*guardShare > owned {
		return events.ReasonPruneGuard, fmt.Sprintf(
			"%d of %d objects would be deleted, more than half; all of them are held. Approve it, or declare them again",
			len(going), owned)
	}
	return "", ""
}

// guardFleet decides whether so many of a cluster's applications may be
// withdrawn at once. Inventories counts all that the cluster holds.
func guardFleet(inventories, withdrawn int) (events.Reason, string) {
	alone := withdrawn == 1 && inventories > 1
	if withdrawn == 0 || alone || withdrawn*100 <= inventories*fleetShare {
		return "", ""
	}
	return events.ReasonWithdrawalGuard, fmt.Sprintf(
		"%d of the cluster's %d applications are no longer declared, more than %d %% at once; none of them is touched. Approve each, or declare them again",
		withdrawn, inventories, fleetShare)
}

// holdDigest is sha256:<hex> over a bundle's digest and the keys of the
// objects that are held, each followed by a newline, keys sorted.
func holdDigest(bundle string, held []events.Object) string {
	keys := make([]string, len(held))
	for i, o := range held {
		keys[i] = o.Key()
	}
	slices.Sort(keys)
	h := sha256.New()
	fmt.Fprintln(h, bundle)
	for _, k := range keys {
		fmt.Fprintln(h, k)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func objects(n int, one, many string) string {
	if n == 1 {
		return "1 object " + one
	}
	return fmt.Sprintf("%d objects %s", n, many)
}

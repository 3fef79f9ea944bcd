// SPDX-License-Identifier: Apache-2.0

package applier

import "context"

// bearWitness tells the bus where a cluster was driven to a revision that its
// log has not reached: it was put back from a backup, and nobody who was told of
// what it held is left. Until its epoch turns, whatever is new comes before the
// fence.
func (a *applier) bearWitness(ctx context.Context, f Fence) error {
	log, err := a.bus.Log(ctx)
	if err != nil || log.Epoch != f.Epoch || log.Last >= f.Sequence {
		return err
	}
	a.log.WarnContext(ctx, "the cluster was driven to a revision that the log has not reached: the log was put back to an earlier state, and the bus is told so",
		"revision", f.Sequence, "last", log.Last)
	return a.bus.Testify(ctx, f.Order())
}

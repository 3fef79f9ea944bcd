// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// storeFaults are what happens to what the bus has stored.
var storeFaults = []Fault{
	{
		Row: "F8", Name: "bus-disk-full", About: "the disk of the bus is full; later there is space again", Weight: 3,
		Hold: Span{time.Second, 5 * time.Second}, Needs: NeedQuota,
		Inject: func(ctx context.Context, w *World, _ *rand.Rand) (Lift, error) {
			if err := w.FillDisk(ctx); err != nil {
				return nil, err
			}
			return func(context.Context) error { return w.FreeDisk() }, nil
		},
	},
	{
		Row: "F10", Name: "store-wiped", About: "the whole store of the bus deleted while its server is down", Weight: 4,
		Hold: Span{0, 2 * time.Second}, Loses: LosesLog, Inject: wipeStopped,
	},
	{
		Row: "F10", Name: "store-wiped-beneath", About: "the whole store of the bus deleted underneath its running server", Weight: 4,
		Hold: Span{500 * time.Millisecond, 4 * time.Second}, Loses: LosesLogBeneath,
		Inject: func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
			return nil, errors.Join(w.searchStore(), w.LoseStore())
		},
	},
	{
		Row: "F10", Name: "store-restored", About: "the store of the bus put back as it was some changes ago", Weight: 4,
		Hold: Span{time.Second, 4 * time.Second}, Loses: RestoresLog, Inject: restoreStore,
	},
}

func wipeStopped(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
	end := w.stopBus
	if rng.IntN(2) == 0 {
		end = w.killBus
	}
	if err := errors.Join(end(), w.searchStore(), w.LoseStore()); err != nil {
		return nil, err
	}
	return w.StartNATS, nil
}

// restoreStore takes a backup, lets the workload go on, and puts it back while
// the bus is down: stopped, or killed, when it has not noted how far its log was.
func restoreStore(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	end := w.stopBus
	if rng.IntN(2) == 0 {
		end = w.killBus
	}
	backup := filepath.Join(w.Dir, "store-backup")
	aside := filepath.Join(w.Dir, putAside, fmt.Sprintf("%016x", rng.Uint64()))
	if err := errors.Join(w.stopBus(), w.SaveStore(backup), w.StartNATS(ctx)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return errors.Join(end(), w.SaveStore(aside), w.RestoreStore(backup), w.StartNATS(ctx), os.RemoveAll(backup))
	}, nil
}

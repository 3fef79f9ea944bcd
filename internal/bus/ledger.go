// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// ledger counts the failures of inputs, on the bus and so past the end of the
// process. It is touched for inputs alone that come again or fail.
type ledger struct {
	wire     *wire
	consumer string
}

func (l ledger) subject(stored uint64) string {
	return fmt.Sprintf("plumbline.attempts.%s.%d", l.consumer, stored)
}

// read returns the record of an input, the zero record where there is none.
func (l ledger) read(ctx context.Context, stored uint64) (record, error) {
	m, err := l.wire.last(ctx, natsconfig.StreamAttempts, l.subject(stored))
	if err != nil || m == nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return record{}, nil //nolint:nilerr // nobody can read it: as if it weren't there
	}
	return r, nil
}

func (l ledger) write(ctx context.Context, stored uint64, r record) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = l.wire.store(ctx, &nats.Msg{Subject: l.subject(stored), Data: body})
	return err
}

// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// witnesses returns what the services say that they have seen of the log: marks
// beside the provisioner's own, which may be older than what a server stored
// just before it was killed. What can't be read says nothing.
func witnesses(ctx context.Context, js jetstream.JetStream) ([]Mark, error) {
	stream, err := js.Stream(ctx, natsconfig.StreamAttempts)
	if err != nil {
		return nil, fmt.Errorf("ask for stream %s: %w", natsconfig.StreamAttempts, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(natsconfig.WitnessFilter))
	if err != nil {
		return nil, fmt.Errorf("look for what services have seen: %w", err)
	}
	var marks []Mark
	for subject := range info.State.Subjects {
		if !natsconfig.Testifies(natsconfig.WitnessUser(subject)) {
			continue
		}
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", subject, err)
		}
		var w natsconfig.Witness
		if json.Unmarshal(m.Data, &w) == nil && w.Epoch != "" {
			marks = append(marks, Mark{Epoch: w.Epoch, Last: w.Last, ID: w.ID})
		}
	}
	return marks, nil
}

// Testimony is the place in the stream ATTEMPTS of the last thing that a service
// said of the log; 0: none did. Where it grows, [Apply] is due.
func Testimony(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	stream, err := js.Stream(ctx, natsconfig.StreamAttempts)
	if err != nil {
		return 0, fmt.Errorf("ask for stream %s: %w", natsconfig.StreamAttempts, err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, natsconfig.WitnessFilter)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for what services have seen: %w", err)
	}
	return m.Sequence, nil
}

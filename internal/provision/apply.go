// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// Options say what to provision.
type Options struct {
	// Clusters are those whose applier and auditor get a consumer.
	Clusters []string
	// Seen is the furthest place in the log that was seen before; zero where
	// nothing is known.
	Seen Mark
	// Doubt says that something was seen before, and nobody knows what any more:
	// the log is taken for one that was put back.
	Doubt bool
}

// Report is what [Apply] found and did.
type Report struct {
	Log     Mark     // where the log is now
	Created []string // streams and consumers
	Changed []string
	// Renewed are the consumers that could not be changed, or had a position in
	// another log, and were deleted and created: they begin with the last event
	// on each subject.
	Renewed []string
	// Restored says that the log was found before a place that was seen in
	// its epoch, with another event there, or without what it held, and so got a
	// new one; or that nobody knows what was seen.
	Restored bool
}

// Apply creates the streams and consumers that are missing and changes those
// that differ from the files.
func Apply(ctx context.Context, js jetstream.JetStream, o Options) (Report, error) {
	var r Report
	streams, err := natsconfig.Streams()
	if err != nil {
		return r, err
	}
	for _, c := range streams {
		if err := r.applyStream(ctx, js, c, o); err != nil {
			return r, fmt.Errorf("provision stream %s: %w", c.Name, err)
		}
	}
	consumers, err := natsconfig.Consumers(o.Clusters)
	if err != nil {
		return r, err
	}
	for _, c := range consumers {
		if err := r.applyConsumer(ctx, js, c); err != nil {
			return r, fmt.Errorf("provision consumer %s: %w", c.Name, err)
		}
	}
	return r, nil
}

func (r *Report) applyStream(ctx context.Context, js jetstream.JetStream, c natsconfig.Config, o Options) error {
	var want jetstream.StreamConfig
	if err := json.Unmarshal(c.JSON, &want); err != nil {
		return err
	}
	marks := []Mark{o.Seen}
	if want.Name == natsconfig.StreamEvents {
		// Read before the log is asked how far it is: after it, they may be of
		// what was stored in between.
		said, err := witnesses(ctx, js)
		if err != nil {
			return err
		}
		marks = append(marks, said...)
	}
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return r.createStream(ctx, js, want)
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo()
	want, err = overlay(have.Config, c.JSON)
	if err != nil {
		return err
	}
	if want.Name == natsconfig.StreamEvents {
		earlier, err := earlier(ctx, stream, have, marks)
		if err != nil {
			return err
		}
		r.turn(&want, have.State, earlier || o.Doubt)
	}
	if same(want, have.Config) {
		return nil
	}
	if _, err := js.UpdateStream(ctx, want); err != nil {
		return err
	}
	r.Changed = append(r.Changed, want.Name)
	return nil
}

func (r *Report) createStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	if want.Name == natsconfig.StreamEvents {
		r.Log = Mark{Epoch: newEpoch()}
		want.Metadata = map[string]string{MetadataEpoch: r.Log.Epoch}
	}
	if _, err := js.CreateStream(ctx, want); err != nil {
		return err
	}
	r.Created = append(r.Created, want.Name)
	return nil
}

// turn gives the log a new epoch if it has none, was restored or replaced, or
// has lost what it held.
func (r *Report) turn(want *jetstream.StreamConfig, state jetstream.StreamState, earlier bool) {
	r.Log = markOf(*want, state)
	from, _ := strconv.ParseUint(want.Metadata[metadataFrom], 10, 64) // none: 0
	r.Restored = earlier || emptied(state.Msgs, state.LastSeq, from)
	if r.Log.Epoch != "" && !r.Restored {
		return
	}
	r.Log.Epoch = newEpoch()
	want.Metadata = maps.Clone(want.Metadata)
	if want.Metadata == nil {
		want.Metadata = map[string]string{}
	}
	want.Metadata[MetadataEpoch] = r.Log.Epoch
	want.Metadata[metadataFrom] = strconv.FormatUint(state.LastSeq, 10)
}

func (r *Report) applyConsumer(ctx context.Context, js jetstream.JetStream, c natsconfig.Config) error {
	var want jetstream.ConsumerConfig
	if err := json.Unmarshal(c.JSON, &want); err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, natsconfig.StreamEvents, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return r.createConsumer(ctx, js, want)
	}
	if err != nil {
		return err
	}
	have := consumer.CachedInfo().Config
	want, err = overlay(have, c.JSON)
	if err != nil {
		return err
	}
	if same(want, have) {
		return nil
	}
	_, err = js.UpdateConsumer(ctx, natsconfig.StreamEvents, want)
	if unchangeable(err) {
		return r.renewConsumer(ctx, js, want)
	}
	if err != nil {
		return err
	}
	r.Changed = append(r.Changed, want.Durable)
	return nil
}

// createConsumer creates a consumer that has delivered nothing yet. Where a store
// was lost but for the folder of a consumer, as when it is removed underneath a
// server that writes into it, the server gives the new consumer the position of
// the one before: until the log has grown past it, all would be left out.
func (r *Report) createConsumer(ctx context.Context, js jetstream.JetStream, want jetstream.ConsumerConfig) error {
	consumer, err := js.CreateConsumer(ctx, natsconfig.StreamEvents, want)
	if err != nil {
		return err
	}
	r.Created = append(r.Created, want.Durable)
	if consumer.CachedInfo().Delivered.Consumer == 0 {
		return nil
	}
	return r.renewConsumer(ctx, js, want) // or its service has been quick: to no effect
}

// unchangeable reports whether the server has refused to change a consumer in
// place (checkNewConsumerConfig in server/consumer.go of nats-server).
func unchangeable(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeConsumerCreate && strings.Contains(api.Description, "can not be updated")
}

// renewConsumer deletes a consumer and creates it. Its position goes with it:
// the new one begins with the last event on each subject, as after the loss of
// the log, and what its service had done already is done again to no effect. An
// acknowledgement for the old one that comes late means the same event in the
// new one. When it ends in between, the next run creates what is missing.
func (r *Report) renewConsumer(ctx context.Context, js jetstream.JetStream, want jetstream.ConsumerConfig) error {
	if want.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy && want.DeliverPolicy != jetstream.DeliverAllPolicy {
		return errors.New("it can't be changed in place, and made anew with this deliver_policy it would leave out what waits for it")
	}
	if err := js.DeleteConsumer(ctx, natsconfig.StreamEvents, want.Durable); err != nil {
		return fmt.Errorf("it can't be changed in place, and not be deleted to make it anew: %w", err)
	}
	if _, err := js.CreateConsumer(ctx, natsconfig.StreamEvents, want); err != nil {
		return err
	}
	r.Renewed = append(r.Renewed, want.Durable)
	return nil
}

// overlay returns have with the fields that the file names as it has them: the
// server fills in others, which stay.
func overlay[T any](have T, file []byte) (T, error) {
	var want T
	text, err := json.Marshal(have)
	if err != nil {
		return want, err
	}
	if err := json.Unmarshal(text, &want); err != nil {
		return want, err
	}
	return want, json.Unmarshal(file, &want)
}

// same compares two configurations as they are written.
func same[T any](a, b T) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

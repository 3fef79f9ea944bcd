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
}

// Report is what [Apply] found and did.
type Report struct {
	Log     Mark     // where the log is now
	Created []string // streams and consumers
	Changed []string
	// Restored says that the log was found before a place that was seen in
	// its epoch, or without what it held, and so got a new one.
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
		if err := r.applyStream(ctx, js, c, o.Seen); err != nil {
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

func (r *Report) applyStream(ctx context.Context, js jetstream.JetStream, c natsconfig.Config, seen Mark) error {
	var want jetstream.StreamConfig
	if err := json.Unmarshal(c.JSON, &want); err != nil {
		return err
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
		r.turn(&want, have.State, seen)
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

// turn gives the log a new epoch if it has none, was restored or has lost what
// it held.
func (r *Report) turn(want *jetstream.StreamConfig, state jetstream.StreamState, seen Mark) {
	r.Log = Mark{want.Metadata[MetadataEpoch], state.LastSeq}
	from, _ := strconv.ParseUint(want.Metadata[metadataFrom], 10, 64) // none: 0
	r.Restored = restored(seen, r.Log) || emptied(state.Msgs, state.LastSeq, from)
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
		if _, err := js.CreateConsumer(ctx, natsconfig.StreamEvents, want); err != nil {
			return err
		}
		r.Created = append(r.Created, want.Durable)
		return nil
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
	if _, err := js.UpdateConsumer(ctx, natsconfig.StreamEvents, want); err != nil {
		return err
	}
	r.Changed = append(r.Changed, want.Durable)
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

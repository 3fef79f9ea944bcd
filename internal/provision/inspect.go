// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// Stream is how a stream stands.
type Stream struct {
	Name    string
	Missing bool
	Differs bool // from the file
	Epoch   string
	State   jetstream.StreamState
}

// Consumer is how a consumer stands.
type Consumer struct {
	Name        string
	Missing     bool
	Differs     bool   // from the file
	Pending     uint64 // messages that it was not given yet
	Unanswered  int    // given, and neither acknowledged nor refused
	Redelivered int    // of those, given more than once
	Waiting     int    // pulls that wait for messages: none, and nobody works
	AckFloor    uint64 // stream sequence up to which everything is answered
}

// State is what [Inspect] finds.
type State struct {
	Streams   []Stream
	Consumers []Consumer
}

// Inspect compares the server at url with the files and changes nothing. It
// needs the provisioner's key.
func Inspect(ctx context.Context, url, creds string, clusters []string, log *slog.Logger) (State, error) {
	js, done, err := Connect(ctx, url, creds, log)
	if err != nil {
		return State{}, err
	}
	defer done()
	return inspect(ctx, js, clusters)
}

func inspect(ctx context.Context, js jetstream.JetStream, clusters []string) (State, error) {
	var s State
	streams, err := natsconfig.Streams()
	if err != nil {
		return s, err
	}
	for _, c := range streams {
		found, err := inspectStream(ctx, js, c)
		if err != nil {
			return s, fmt.Errorf("ask for stream %s: %w", c.Name, err)
		}
		s.Streams = append(s.Streams, found)
	}
	consumers, err := natsconfig.Consumers(clusters)
	if err != nil {
		return s, err
	}
	for _, c := range consumers {
		found, err := inspectConsumer(ctx, js, c)
		if err != nil {
			return s, fmt.Errorf("ask for consumer %s: %w", c.Name, err)
		}
		s.Consumers = append(s.Consumers, found)
	}
	return s, nil
}

func inspectStream(ctx context.Context, js jetstream.JetStream, c natsconfig.Config) (Stream, error) {
	out := Stream{Name: c.Name}
	stream, err := js.Stream(ctx, c.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		out.Missing = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	info := stream.CachedInfo()
	want, err := overlay(info.Config, c.JSON)
	if err != nil {
		return out, err
	}
	out.Differs, out.State, out.Epoch = !same(want, info.Config), info.State, info.Config.Metadata[MetadataEpoch]
	return out, nil
}

func inspectConsumer(ctx context.Context, js jetstream.JetStream, c natsconfig.Config) (Consumer, error) {
	var file jetstream.ConsumerConfig
	if err := json.Unmarshal(c.JSON, &file); err != nil {
		return Consumer{}, err
	}
	out := Consumer{Name: file.Durable}
	consumer, err := js.Consumer(ctx, natsconfig.StreamEvents, file.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		out.Missing = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	info := consumer.CachedInfo()
	want, err := overlay(info.Config, c.JSON)
	if err != nil {
		return out, err
	}
	out.Differs = !same(want, info.Config)
	out.Pending, out.Unanswered, out.Redelivered = info.NumPending, info.NumAckPending, info.NumRedelivered
	out.Waiting, out.AckFloor = info.NumWaiting, info.AckFloor.Stream
	return out, nil
}

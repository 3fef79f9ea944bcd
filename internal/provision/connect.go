// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// User is the user that provisions.
const User = natsconfig.Provisioner

// Connect connects to the server at url as the provisioner, whose key is in
// the file creds; it tries until ctx ends or the server refuses the key. done
// ends the connection.
func Connect(ctx context.Context, url, creds string, log *slog.Logger) (js jetstream.JetStream, done func(), err error) {
	trying, refused := context.WithCancel(ctx)
	defer refused()
	nc, err := bus.Dial(trying, bus.Config{URL: url, Creds: creds, User: User, Waiting: func(err error) {
		if errors.Is(err, bus.ErrRefused) {
			refused()
		}
	}}, log)
	if err != nil {
		return nil, nil, err
	}
	if js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, nil, err
	}
	return js, nc.Close, nil
}

// Once provisions the server at url: what plumbline nats provision does. file
// keeps the furthest place of the log that was seen; "" keeps none, and a log
// that was put back from a backup is not noticed then. A file that can't be read
// any more counts as a log that was put back.
func Once(ctx context.Context, url, creds, file string, clusters []string, log *slog.Logger) (Report, error) {
	js, done, err := Connect(ctx, url, creds, log)
	if err != nil {
		return Report{}, err
	}
	defer done()
	o := Options{Clusters: clusters}
	if file != "" {
		o.Seen, err = ReadMark(file)
		if o.Doubt = errors.Is(err, ErrMark); err != nil && !o.Doubt {
			return Report{}, err
		}
	}
	report, err := Apply(ctx, js, o)
	if err != nil || file == "" {
		return report, err
	}
	return report, WriteMark(file, report.Log)
}

// Here asks where the log is now; the zero Mark where there is none.
func Here(ctx context.Context, js jetstream.JetStream) (Mark, error) {
	stream, err := js.Stream(ctx, natsconfig.StreamEvents)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Mark{}, nil
	}
	if err != nil {
		return Mark{}, fmt.Errorf("ask for the log: %w", err)
	}
	info := stream.CachedInfo()
	return markOf(info.Config, info.State), nil
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/canary"
)

// search looks for the workload's secrets wherever Plumbline leaves anything
// but the cluster: the bus's store, and what was of it before it was lost or put
// back; the logs, Slack, the spans and the metrics.
func (d *driver) search(ctx context.Context, dir string) error {
	from := time.Now()
	var all canary.Result
	for _, message := range d.Slack.Messages() {
		text := strings.Join(append([]string{message.Text}, message.Body...), "\n")
		d.record.add(Record{Slack: &Message{TS: message.TS, Thread: message.Thread, Text: message.Text, Posted: message.Time}})
		d.leaks(d.Plan.Canaries.Find("Slack", []byte(text)))
	}
	for _, span := range d.OTLP.Spans() {
		text, err := json.Marshal(span)
		if err != nil {
			return fmt.Errorf("search the spans: %w", err)
		}
		d.leaks(d.Plan.Canaries.Find("a span", text))
	}
	d.leaks(d.Plan.Canaries.Find("the metrics", []byte(strings.Join(d.OTLP.Labels(), "\n"))))
	for _, place := range []string{"data", "log", putAside} {
		result, err := d.searchFolder(filepath.Join(dir, place))
		if err != nil {
			return err
		}
		all.Add(result)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	fmt.Fprintf(d.options.Log, "seed %d: searched %d files of %d bytes in %s\n", d.options.Seed, all.Items, all.Bytes, time.Since(from).Round(time.Millisecond))
	return nil
}

// putAside is where stores wait that are to be searched in the end.
const putAside = "aside"

// searchFolder searches whatever lies in a folder now.
func (w *World) searchFolder(folder string) (canary.Result, error) {
	result, err := w.Plan.Canaries.FindDir(folder)
	w.leaks(result.Hits)
	return result, err
}

// searchStore searches what the bus has stored, which is about to be lost.
func (w *World) searchStore() error {
	_, err := w.searchFolder(w.Store())
	return err
}

func (w *World) leaks(hits []canary.Hit) {
	for _, hit := range hits {
		w.record.add(Record{Leak: &Leak{Canary: hit.Part, Where: hit.String()}})
	}
}

// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

func ExampleEncode() {
	asked := &events.SyncRequested{By: "ada"}
	t := events.TypeOf(asked)
	a := events.Address{Application: "shop-web"}
	headers, body, err := events.Encode(events.Event{
		ID:     events.ID(events.Cause{ID: "ada/1"}, t, a, ""),
		Source: events.Source("operator", ""),
		Type:   t, Address: a, Data: asked,
		Time: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Subject(a))
	fmt.Println(headers["Content-Type"][0])
	e, err := events.Decode(t.Subject(a), headers, body, 7)
	fmt.Println(e.Data.(*events.SyncRequested).By, e.Stored, err)
	// Output:
	// plumbline.v1.sync.requested._.shop-web
	// application/cloudevents+json
	// ada 7 <nil>
}

func ExampleDecode_binary() {
	e, err := events.Decode("plumbline.v1.sync.requested._.shop-web", map[string][]string{
		"ce-specversion": {"1.0"},
		"ce-id":          {"ada/1"},
		"ce-source":      {"plumbline://operator"},
		"ce-type":        {"dev.plumbline.sync.requested.v1"},
		"ce-subject":     {"shop-web"},
		"ce-time":        {"2026-03-14T12:00:00Z"},
	}, []byte(`{"by":"ada"}`), 7)
	fmt.Println(e.Type.Name(), e.Application, err)
	// Output: sync.requested shop-web <nil>
}

// The subject is the authority: what an event says of itself must agree.
func ExampleReasonOf() {
	golden := `{"specversion":"1.0","id":"1","source":"plumbline://operator","type":"dev.plumbline.sync.requested.v1",` +
		`"subject":"shop-web","time":"2026-03-14T12:00:00Z","data":{"by":"ada"}}`
	headers := map[string][]string{"Content-Type": {events.ContentType}}
	_, err := events.Decode("plumbline.v1.sync.requested._.shop-db", headers, []byte(golden), 7)
	fmt.Println(errors.Is(err, events.ErrWrongSubject), events.ReasonOf(err))
	// Output: true wrong_subject
}

func ExampleType_Subject() {
	t := events.TypeNamed("divergence.detected")
	fmt.Println(t.Subject(events.Address{Cluster: "eu.west", Application: "shop-web", Key: "9c11"}))
	fmt.Println(t.Filter("local"))
	// Output:
	// plumbline.v1.divergence.detected.eu_2ewest.shop-web.9c11
	// plumbline.v1.divergence.detected.local.*.*
}

// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// words are texts that a payload's strings may hold.
var words = []string{
	"shop", "shop-web", "", "refs/heads/main", "a<b>&c", "übermäßig", "\"quoted\"\n\tline", "\u2028", "日本", "\x00\x1f",
}

// randomEvent is a valid event of type t whose payload is filled at random.
func randomEvent(r *rand.Rand, t *events.Type) events.Event {
	e := events.Event{
		ID:     fmt.Sprintf("%s-%d", t.Name(), r.Uint32()),
		Source: events.Source(t.Emitter, "local"),
		Type:   t, Address: addressFor(t),
		Time:  randomTime(r).UTC(),
		Epoch: "5f1c", Sequence: r.Uint64N(1 << 40),
		Traceparent:   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		CorrelationID: "shop-web/1111", CausationID: "commit.observed-1",
		StageStart: randomTime(r).UTC(), StageEnd: randomTime(r).UTC(),
		Data: t.New(),
	}
	if t.Name() == "commit.observed" {
		e.Stored = 7 + r.Uint64N(1000)
		e.Sequence = e.Stored
	}
	fill(r, reflect.ValueOf(e.Data).Elem())
	agree(reflect.ValueOf(e.Data).Elem(), e.Address)
	return e
}

// addressFor is an address that fits t.
func addressFor(t *events.Type) events.Address {
	switch t.Scope {
	case events.ScopeCluster:
		return events.Address{Cluster: "local"}
	case events.ScopeKey:
		return events.Address{Cluster: "local", Application: "shop-web", Key: "4be1"}
	default:
		return events.Address{Cluster: "local", Application: "shop-web"}
	}
}

func randomTime(r *rand.Rand) time.Time {
	zone := time.FixedZone("", (r.IntN(24*4)-48)*900)
	return time.Unix(r.Int64N(1<<33), r.Int64N(1e9)).In(zone)
}

func fill(r *rand.Rand, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(randomTime(r)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.String:
		v.SetString(words[r.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(1 << 40))
	case reflect.Uint64:
		v.SetUint(r.Uint64())
	default:
		panic("events_test: fill knows no " + v.Kind().String())
	}
}

// agree makes the parts of a payload that repeat its address agree with it.
func agree(v reflect.Value, a events.Address) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case f.Type() == reflect.TypeFor[events.Declaration]():
			f.FieldByName("Application").SetString(a.Application)
			f.FieldByName("Cluster").SetString(a.Cluster)
		case f.Type() == reflect.TypeFor[events.Divergence]():
			f.FieldByName("Key").SetString(a.Key)
		case v.Type().Field(i).Anonymous && f.Kind() == reflect.Struct:
			agree(f, a)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"reflect"
	"testing"
	"time"
)

func TestChangedPathsHaveTheFirstTurns(t *testing.T) {
	for name, test := range map[string]struct {
		list []due
		want [][]due
	}{
		"nothing":      {nil, nil},
		"none changed": {[]due{{"c", false}, {"a", false}, {"b", false}}, [][]due{{{"a", false}, {"b", false}}, {{"c", false}}}},
		"all changed":  {[]due{{"b", true}, {"a", true}}, [][]due{{{"a", true}, {"b", true}}}},
		"never mixed":  {[]due{{"c", false}, {"b", true}, {"a", false}}, [][]due{{{"b", true}}, {{"a", false}, {"c", false}}}},
		"both in parts": {
			[]due{{"a", false}, {"b", true}, {"c", false}, {"d", true}, {"e", true}, {"f", false}},
			[][]due{{{"b", true}, {"d", true}}, {{"e", true}}, {{"a", false}, {"c", false}}, {{"f", false}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := inTurns(test.list, 2, func(d due) due { return d }); !reflect.DeepEqual(got, test.want) {
				t.Errorf("turns %v, want %v", got, test.want)
			}
		})
	}
}

// A look that is due ends the head start, and is still due.
func TestTheHeadStartEndsWithTheNextLook(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := &pass{reader: &reader{wake: make(chan string, 1)}}
	p.look(byWebhook)
	if err := p.giveWay(ctx, time.Hour); err != nil {
		t.Fatalf("the look that is due was not seen: %v", err)
	}
	select {
	case trigger := <-p.wake:
		if trigger != byWebhook {
			t.Errorf("due: %q, want %q", trigger, byWebhook)
		}
	default:
		t.Error("the look is not due any more")
	}
}

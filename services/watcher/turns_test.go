// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
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

// An application that is declared anew is changed, whatever a commit that is seen
// with that changes.
func TestAChangedDeclarationHasAHeadStart(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "api", "web")
	l.declareShop("api", "web")
	stop := l.watch()
	l.observed("api", a)
	l.observed("web", a)
	stop()

	b := l.do(l.shop.Put(map[string]string{"README": "b"}))
	web := strings.Replace(application("web", "shop", ""), "namespace: shop", "namespace: other", 1)
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("api", "shop", "") + web}))
	l.watch()
	changed, data := l.observed("web", b)
	other, _ := l.observed("api", b)
	if data.Declaration.Namespace != "other" {
		t.Fatalf("declared: %+v", data.Declaration)
	}
	if ahead := other.Time.Sub(changed.Time); changed.Stored > other.Stored || ahead < headStart/2 {
		t.Errorf("the application that is declared anew was %s ahead, want about %s", ahead, headStart)
	}
}

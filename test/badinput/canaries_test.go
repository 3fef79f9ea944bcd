// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/plumbline-dev/plumbline/test/canary"
)

// mark is what every text that stands for a secret holds.
const mark = "canary"

// marked is such a text from its mark on: what stands before it is none of it, as
// the beginning that all keys of a kind have.
var marked = regexp.MustCompile(`(?i)` + mark + `[a-z0-9-]*`)

// canaries are the texts that stand for secrets.
type canaries struct{ set *canary.Set }

// canariesOf collects those of inputs, and those that this package gives
// Plumbline itself. Of each only the beginning is searched for, any
// [canary.Fragment] bytes of which hold a part of the mark: what follows are words
// that others say, too. One that is too short for that is found in clear alone.
func canariesOf(inputs []Input) (*canaries, error) {
	const most = len(mark) - 3 + canary.Fragment
	var values []string
	collect := func(text string) {
		for _, found := range marked.FindAllString(text, -1) {
			if len(found) >= canary.Fragment {
				values = append(values, found[:min(len(found), most)])
			}
		}
	}
	collect(secretToken)
	collect(gitPassword)
	for _, in := range inputs {
		for _, f := range in.Files {
			collect(f.Data)
		}
		for _, part := range in.Parts {
			collect(part)
		}
	}
	slices.Sort(values)
	set, err := canary.New(0, 0).With(slices.Compact(values)...)
	return &canaries{set}, err
}

// in says which canary stands in a text, in clear or wrapped in something; empty:
// none.
func (c *canaries) in(text []byte) string {
	if i := bytes.Index(text, []byte(mark)); i >= 0 {
		return fmt.Sprintf("…%s…", text[max(0, i-100):min(len(text), i+100)])
	}
	if hits := c.set.Find("the text", text); len(hits) > 0 {
		return fmt.Sprintf("%s, of %q", hits[0], c.set.Value(hits[0].Secret))
	}
	return ""
}

// The canaries of the corpus are known, and seen in the form in which the values of
// a Secret are written; what is said of the inputs by name is none.
func TestCanariesAreSeen(t *testing.T) {
	inputs, err := Load("corpus")
	if err != nil {
		t.Fatal(err)
	}
	c, err := canariesOf(inputs)
	if err != nil {
		t.Fatal(err)
	}
	if c.set.Len() < 20 {
		t.Errorf("the corpus has %d canaries", c.set.Len())
	}
	for i := range c.set.Len() {
		value := c.set.Value(i) + "-and-more"
		for how, text := range map[string]string{"clear": value, "base64": base64.StdEncoding.EncodeToString([]byte("x: " + value))} {
			if found := c.in([]byte(`{"data":{"p":"` + text + `"}}`)); found == "" {
				t.Errorf("%s in %s is not seen", value, how)
			}
		}
	}
	for _, in := range inputs {
		if found := c.in([]byte(in.ID() + ": " + in.About)); found != "" {
			t.Error(found)
		}
	}
	none, err := canariesOf(nil)
	if err != nil || none.in([]byte(base64.StdEncoding.EncodeToString([]byte(secretToken)))) == "" || none.in([]byte(base64.StdEncoding.EncodeToString([]byte(gitPassword)))) == "" {
		t.Errorf("what is given to Plumbline itself is not seen (%v)", err)
	}
}

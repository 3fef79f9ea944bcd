// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/invopop/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/events"
)

const eventsIntro = `# Events

Everything that Plumbline does is said in events. They are
[CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md)
in structured JSON, at most 64 KiB each, on NATS subjects; longer lists and all
bodies are blobs, named by their digest.

A subject is ` + "`plumbline.v1.<noun>.<verb>.<cluster>.<application>`" + `; where the
table shows a key, one more token follows. A token holds ` + "`A-Z a-z 0-9 -`" + ` as
they are, every other byte as ` + "`_` and two hex digits" + `; a lone ` + "`_`" + ` means none.
The subject is the authority: an event whose type or application says otherwise
is refused.

Within v1, fields and values are only ever added, and readers ignore what they
don't know. An event of an unknown major version is set aside, never dropped.

## Types
`

// eventsPage is docs/events.md; its examples are the goldens.
func eventsPage(root string, schemas map[string]*jsonschema.Schema) ([]byte, error) {
	var p page
	p.WriteString(generatedNote)
	p.say("%s", eventsIntro)
	p.say("| type | published by | subject ends in | says |\n|---|---|---|---|")
	var ordered []*jsonschema.Schema
	for i := range events.Types {
		t := &events.Types[i]
		ordered = append(ordered, schemas[t.Name()])
		p.say("| [%s](#%s%s) | %s | %s | %s |", t.Name(), t.Noun, t.Verb, t.Emitter, ending(t), t.Says)
	}
	names, all := parts(ordered)
	p.parts = all
	p.say("\n## Envelope\n")
	p.say("The attributes that every event has ([schema](../events/schema/envelope.v1.json)).\n")
	p.fields(envelopeSchema())
	for i := range events.Types {
		if err := p.event(root, &events.Types[i], schemas); err != nil {
			return nil, err
		}
	}
	p.say("## Parts\n\nWhat several events are made of.\n")
	for _, name := range names {
		p.say("### %s\n", name)
		if d := all[name].Description; d != "" {
			p.say("%s\n", d)
		}
		p.fields(all[name])
	}
	return p.Bytes(), nil
}

func ending(t *events.Type) string {
	switch t.Scope {
	case events.ScopeCluster:
		return "`<cluster>._`"
	case events.ScopeKey:
		return "`<cluster>.<application>.<key>`"
	default:
		return "`<cluster>.<application>`"
	}
}

func (p *page) event(root string, t *events.Type, schemas map[string]*jsonschema.Schema) error {
	p.say("## %s\n", t.Name())
	p.say("%s Published by: %s. [Schema](../events/schema/%s.v1.json).\n", t.Says, t.Emitter, t.Name())
	p.fields(schemas[t.Name()])
	golden, err := txtar.ParseFile(filepath.Join(root, "events", "testdata", t.Name()+".txtar"))
	if err != nil {
		return fmt.Errorf("the example of %s: %w", t.Name(), err)
	}
	for _, f := range golden.Files {
		switch f.Name {
		case "subject":
			p.say("On `%s`:\n", strings.TrimSpace(string(f.Data)))
		case "body":
			text, err := indented(f.Data)
			if err != nil {
				return fmt.Errorf("the example of %s: %w", t.Name(), err)
			}
			p.say("```json\n%s\n```\n", text)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

const declarationsIntro = `# Declarations

The fleet is a folder in a Git repository. Every ` + "`.yaml`, `.yml` and `.json`" + ` file
in it and in the folders below holds declarations, any number per file; hidden
files and folders are left out, and nothing else may stand there. Symbolic links
and submodules are not read: where declarations may be behind one it is refused,
and holds like a file that can't be read. A folder that is missing, and a
repository that is empty, are an outage and no empty fleet.

` + "```yaml\n%s```" + `

Declarations are read strictly: an unknown field, a wrong type or a reference
that leads nowhere is refused in a ` + "`fleet.rejected`" + ` event that names file, line
and field. YAML anchors may stand there; aliases may not. A file has at most
1 MiB, an application with every default filled in 16 KiB.

**What is unknown is not withdrawn.** A refused application is *held*: it stays
as it was declared before. A refused repository or cluster holds the
applications that name it, and a file that can't be read holds what it declared
before and what it mentions. Two declarations of one name are both refused. An
application is withdrawn only when it is certainly no longer declared, and then
goes by its ` + "`deletion`" + `. A cluster that goes with its
applications makes no difference: it has an empty list from then on. Its applier
holds the withdrawal of everything that the cluster has until it is approved.
`

// declarationsPage is docs/declarations.md; its example is a golden too.
func declarationsPage(root string, schemas map[string]*jsonschema.Schema) ([]byte, error) {
	golden, err := txtar.ParseFile(filepath.Join(root, "internal", "fleet", "testdata", "accepted", "every-field.txtar"))
	if err != nil {
		return nil, fmt.Errorf("the example: %w", err)
	}
	var p page
	p.WriteString(generatedNote)
	p.say(declarationsIntro, golden.Files[0].Data)
	for _, kind := range []string{fleet.KindRepository, fleet.KindCluster, fleet.KindApplication} {
		schema := schemas[kind]
		p.say("## %s\n\n%s [Schema](schema/%s).\n", kind, schema.Description, declarationFile(kind))
		p.say("| field | default | meaning |\n|---|---|---|")
		p.declared("", schema, schema.Definitions)
		p.say("")
	}
	return p.Bytes(), nil
}

// declared lists fields with those below them.
func (p *page) declared(prefix string, schema *jsonschema.Schema, all jsonschema.Definitions) {
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		name, field := prefix+pair.Key, pair.Value
		if field.Type == "array" {
			name += "[]"
		}
		if part, ok := all[partName(field)]; ok {
			if field.Type == "array" {
				p.say("| `%s` | none | %s %s |", name, field.Description, part.Description)
			}
			p.declared(name+".", part, all)
			continue
		}
		p.say("| `%s` | %s | %s |", name, standard(schema, pair.Key, field), p.meaningOf(field))
	}
}

// standard is what a field is when nothing is said.
func standard(owner *jsonschema.Schema, name string, field *jsonschema.Schema) string {
	switch {
	case slices.Contains(owner.Required, name):
		return "**required**"
	case field.Default != nil:
		return fmt.Sprintf("`%v`", field.Default)
	}
	return ""
}

func (p *page) meaningOf(field *jsonschema.Schema) string {
	text := p.meaning(field)
	if len(field.Enum) > 0 {
		text = strings.TrimSpace(text + " Allowed: " + values(field.Enum) + ".")
	}
	return text
}

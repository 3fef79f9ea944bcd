// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"path/filepath"

	"github.com/invopop/jsonschema"

	"github.com/plumbline-dev/plumbline/events"
)

// Files are the derived files of the repository at root, by their paths in it.
func Files(root string) (map[string][]byte, error) {
	eventSource, err := readSource(filepath.Join(root, "events"))
	if err != nil {
		return nil, fmt.Errorf("read the source of events: %w", err)
	}
	fleetSource, err := readSource(filepath.Join(root, "internal", "fleet"))
	if err != nil {
		return nil, fmt.Errorf("read the source of fleet: %w", err)
	}
	schemas := map[string]*jsonschema.Schema{"events/schema/envelope.v1.json": envelopeSchema()}
	ofEvents := map[string]*jsonschema.Schema{}
	for i := range events.Types {
		t := &events.Types[i]
		ofEvents[t.Name()] = eventSchema(eventSource, t)
		schemas["events/schema/"+t.Name()+".v1.json"] = ofEvents[t.Name()]
	}
	ofKinds := declarationSchemas(fleetSource)
	for kind, schema := range ofKinds {
		schemas["docs/schema/"+declarationFile(kind)] = schema
	}
	files := map[string][]byte{}
	for name, schema := range schemas {
		if files[name], err = encode(schema); err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
	}
	if files["docs/events.md"], err = eventsPage(root, ofEvents); err != nil {
		return nil, fmt.Errorf("docs/events.md: %w", err)
	}
	if files["docs/declarations.md"], err = declarationsPage(root, ofKinds); err != nil {
		return nil, fmt.Errorf("docs/declarations.md: %w", err)
	}
	if files["docs/security.md"], err = securityPage(root); err != nil {
		return nil, fmt.Errorf("docs/security.md: %w", err)
	}
	return files, nil
}

// SPDX-License-Identifier: Apache-2.0

package contract

import "github.com/invopop/jsonschema"

// Envelope is what every event says about itself: the context attributes of
// CloudEvents 1.0 and Plumbline's extensions.
type Envelope struct {
	SpecVersion     string `json:"specversion" jsonschema:"enum=1.0" jsonschema_description:"The version of CloudEvents."`
	ID              string `json:"id" jsonschema_description:"Deterministic: the same cause makes the same id again, so that a duplicate is told as one."`
	Source          string `json:"source" jsonschema:"format=uri-reference" jsonschema_description:"The service that published it, and its cluster: plumbline://<service>[/<cluster>]."`
	Type            string `json:"type" jsonschema_description:"dev.plumbline.<noun>.<past-verb>.v1"`
	Subject         string `json:"subject,omitempty" jsonschema_description:"The application."`
	Time            string `json:"time" jsonschema:"format=date-time" jsonschema_description:"When it happened."`
	DataContentType string `json:"datacontenttype" jsonschema:"enum=application/json" jsonschema_description:"Always JSON."`
	DataSchema      string `json:"dataschema" jsonschema:"format=uri" jsonschema_description:"The JSON Schema of the data."`
	Epoch           string `json:"epoch,omitempty" jsonschema_description:"Which life of the log: a random id. Epochs have no order."`
	Sequence        string `json:"sequence,omitempty" jsonschema:"pattern=^[0-9]{20}$" jsonschema_description:"The order of revisions within an epoch: the place in the log of the commit.observed that led to it, 20 digits. A commit.observed has none: its own place is it."`
	Traceparent     string `json:"traceparent,omitempty" jsonschema:"pattern=^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" jsonschema_description:"The W3C trace context that the commit started: one trace per commit."`
	CorrelationID   string `json:"correlationid,omitempty" jsonschema_description:"What belongs together: application and commit, or the divergence."`
	CausationID     string `json:"causationid,omitempty" jsonschema_description:"The id of the event, or the observation, that led to it."`
	PartitionKey    string `json:"partitionkey,omitempty" jsonschema_description:"The application: events of one application are handled in order."`
	StageStart      string `json:"stagestart,omitempty" jsonschema:"format=date-time" jsonschema_description:"When the work that led to it began."`
	StageEnd        string `json:"stageend,omitempty" jsonschema:"format=date-time" jsonschema_description:"When that work was done."`
	EmitterVersion  string `json:"emitterversion,omitempty" jsonschema_description:"The version of the program that published it."`
	Data            any    `json:"data" jsonschema_description:"What it says; see dataschema."`
}

func envelopeSchema() *jsonschema.Schema {
	schema := reflector(source{}, true).Reflect(Envelope{})
	schema.ID = "https://plumbline.dev/schema/envelope.v1.json"
	schema.Title = "envelope"
	schema.Description = "A Plumbline event: a CloudEvent 1.0 in the JSON event format."
	return schema
}

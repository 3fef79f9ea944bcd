// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// said is the last audit.limited of an application.
type said struct {
	loaded bool
	last   uint64
	limits events.AuditLimited
}

// load reads what was said last, unless that is known.
func (s *said) load(ctx context.Context, conn *bus.Conn, at events.Address) error {
	if s.loaded {
		return nil
	}
	e, err := conn.Last(ctx, events.TypeNamed("audit.limited").Subject(at))
	switch {
	case errors.Is(err, bus.ErrNone):
		*s = said{loaded: true}
		return nil
	case err != nil:
		return fmt.Errorf("read the limits of the audit of %s: %w", at.Application, err)
	}
	*s = said{loaded: true, last: e.Stored}
	if data, ok := e.Data.(*events.AuditLimited); ok {
		s.limits = *data
	}
	return nil
}

// limited publishes which objects may not be compared, whenever that changes.
func (a *Auditor) limited(ctx context.Context, app *application, now time.Time) []events.Draft {
	limits, known := a.limits(app)
	if !known || limits.Count == app.said.limits.Count && slices.Equal(limits.Objects, app.said.limits.Objects) {
		return nil
	}
	app.said.loaded = false // it is read again: the log is the state
	if limits.Count > 0 {
		a.log.WarnContext(ctx, "not everything is audited", "application", app.name, "objects", limits.Count, "first", limits.Objects[0].Message)
	}
	return []events.Draft{{
		Data: &limits, Address: app.ledger.at, Time: now,
		Revision: app.view.order(),
		Expect:   &events.Expectation{Last: app.said.last},
	}}
}

// limits lists what may not be compared. It is not known while a kind is being
// listed for the first time.
func (a *Auditor) limits(app *application) (limits events.AuditLimited, known bool) {
	for _, key := range slices.Sorted(maps.Keys(app.targets)) {
		o := app.targets[key].Object
		reading := a.readers.reading(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Namespace)
		limit := events.LimitedObject{Object: o}
		switch {
		case reading == Starting:
			return limits, false
		case reading == Denied || app.withheld[key]:
			where := "in the whole cluster"
			if o.Namespace != "" {
				where = "in namespace " + o.Namespace
			}
			limit.Reason = events.ReasonForbidden
			limit.Message = fmt.Sprintf("%s is not audited: the auditor's identity may not get, list and watch %s %s. Grant it, if you want it audited.", o, o.Kind, where)
		case o.Group == "" && o.Kind == "Secret" && a.digestKey.Zero():
			limit.Reason = events.ReasonNoDigestKey
			limit.Message = fmt.Sprintf("The values of %s are not compared, only who writes them: the auditor has no --digest-key.", o)
		default:
			continue
		}
		if limits.Count++; limits.Count <= maxLimits {
			limits.Objects = append(limits.Objects, limit)
		}
	}
	return limits, true
}

// maxLimits keeps an event of the longest names under its limit of size.
const maxLimits = 25

// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/plumbline-dev/plumbline/internal/bus"
)

// logger writes the server's log to ours. What the server notes of its own
// running is a detail here.
type logger struct {
	log    *slog.Logger
	probed *atomic.Value // the connection of a probe that was told of last
}

func newLogger(log *slog.Logger) logger { return logger{log, &atomic.Value{}} }

func (l logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l logger) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

// Errorf writes an error, and of what 'plumbline doctor' is denied while it
// tries a key the first of each connection: everybody can take that name, so
// none is wholly silent.
func (l logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	connection, _, _ := strings.Cut(text, `" - `)
	if !strings.Contains(connection, ":"+bus.ProbeTitle) || !strings.Contains(text, "Violation - ") {
		l.log.Error(text)
		return
	}
	if l.probed.Swap(connection) == connection {
		l.log.Debug(text)
		return
	}
	l.log.Warn("a key's rights are tried, and what it may not is denied; further denials of this connection are told at level debug", "first", text)
}

// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/fault"
)

type code string

func TestClassesSurviveWrapping(t *testing.T) {
	terminal := fmt.Errorf("render: %w", fault.Terminal(code("syntax"), "line 3 is no YAML", io.ErrUnexpectedEOF))
	reason, message, ok := fault.AsTerminal(terminal)
	if !ok || reason != "syntax" || message != "line 3 is no YAML" {
		t.Errorf("AsTerminal = %q, %q, %v", reason, message, ok)
	}
	if !errors.Is(terminal, io.ErrUnexpectedEOF) {
		t.Error("the cause of a terminal error is lost")
	}

	later := fmt.Errorf("apply: %w", fault.RetryAfter(io.EOF, 7*time.Second))
	if d, ok := fault.Delay(later); !ok || d != 7*time.Second {
		t.Errorf("Delay = %v, %v", d, ok)
	}

	out := fmt.Errorf("list: %w", fault.Outage("the API server", io.EOF))
	if dependency, ok := fault.AsOutage(out); !ok || dependency != "the API server" {
		t.Errorf("AsOutage = %q, %v", dependency, ok)
	}
}

func TestClassesAreDistinct(t *testing.T) {
	for name, err := range map[string]error{
		"terminal": fault.Terminal(code("x"), "m", nil),
		"later":    fault.RetryAfter(io.EOF, time.Second),
		"outage":   fault.Outage("bus", io.EOF),
		"plain":    io.EOF,
	} {
		_, _, isTerminal := fault.AsTerminal(err)
		_, isLater := fault.Delay(err)
		_, isOutage := fault.AsOutage(err)
		got := map[string]bool{"terminal": isTerminal, "later": isLater, "outage": isOutage}
		for class, is := range got {
			if is != (class == name) {
				t.Errorf("%s: %s = %v", name, class, is)
			}
		}
	}
}

func TestNoErrorStaysNoError(t *testing.T) {
	if err := fault.RetryAfter(nil, time.Second); err != nil {
		t.Errorf("RetryAfter(nil) = %v", err)
	}
	if err := fault.Outage("bus", nil); err != nil {
		t.Errorf("Outage(nil) = %v", err)
	}
}

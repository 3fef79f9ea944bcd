// SPDX-License-Identifier: Apache-2.0

//go:build failpoints

package failpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Variable is the environment variable that says what breaks.
const Variable = "PLUMBLINE_FAILPOINTS"

// ErrInjected is what a point returns whose action is error.
var ErrInjected = errors.New("an error that a failpoint injected")

// rule is what is done at a point.
type rule struct {
	action string
	delay  time.Duration
	nth    int // 0: each time
}

// armed are the rules of this process, which don't change, and how often it
// came by their points.
var armed struct {
	rules map[Point][]rule
	mu    sync.Mutex
	count map[Point]int
}

func init() {
	rules, err := parse(os.Getenv(Variable))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		os.Exit(2)
	}
	armed.rules, armed.count = rules, map[Point]int{}
}

// Hit does what the rules of a point say. It may be called from several
// goroutines. Its error is [ErrInjected] or nil.
func Hit(p Point) error {
	rules := armed.rules[p]
	if len(rules) == 0 {
		return nil
	}
	armed.mu.Lock()
	armed.count[p]++
	n := armed.count[p]
	armed.mu.Unlock()
	for _, r := range rules {
		if r.nth != 0 && r.nth != n {
			continue
		}
		fmt.Fprintf(os.Stderr, "failpoint %s %s %d\n", p, r.action, n)
		switch r.action {
		case "kill":
			kill()
		case "delay":
			time.Sleep(r.delay)
		case "panic":
			panic(fmt.Sprintf("a panic that a failpoint injected at %s", p))
		case "error":
			return fmt.Errorf("%w at %s", ErrInjected, p)
		}
	}
	return nil
}

// mark begins what a content says that breaks a process.
const mark = "plumbline-failpoint: "

// Read kills the process if a content that it has read says so, by mark, the
// point and "=kill": an input that crashes whoever reads it, each time.
func Read(p Point, content []byte) {
	if bytes.Contains(content, []byte(mark+string(p)+"=kill")) {
		kill()
	}
}

// kill ends the process as a crash would, and never returns.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

func parse(text string) (map[Point][]rule, error) {
	rules := map[Point][]rule{}
	for field := range strings.SplitSeq(text, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		name, what, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("%q is no rule: want point=action, as %s=kill@3", field, ApplierAfterObject)
		}
		if !slices.Contains(Points(), Point(name)) {
			return nil, fmt.Errorf("there is no point %q; there are %v", name, Points())
		}
		r, err := parseRule(what)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", field, err)
		}
		rules[Point(name)] = append(rules[Point(name)], r)
	}
	return rules, nil
}

func parseRule(what string) (r rule, err error) {
	action, nth, counted := strings.Cut(what, "@")
	if counted {
		if r.nth, err = strconv.Atoi(nth); err != nil || r.nth < 1 {
			return r, errors.New("what follows @ is how often the point was come by, from 1 on")
		}
	}
	r.action, action, _ = strings.Cut(action, ":")
	switch r.action {
	case "kill", "error", "panic":
		if action != "" {
			return r, fmt.Errorf("%s takes no argument", r.action)
		}
	case "delay":
		if r.delay, err = time.ParseDuration(action); err != nil {
			return r, err
		}
	default:
		return r, fmt.Errorf("there is no action %q; there are kill, error, panic and delay:2s", r.action)
	}
	return r, nil
}

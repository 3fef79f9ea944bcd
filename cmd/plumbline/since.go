// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// lookback is how far back to look: 10m, 24h, 7d. It makes a flag.
type lookback time.Duration

var errNoSpan = errors.New("want how far back, as 10m, 24h or 7d")

// String, Set and Type make lookback a flag.
func (l *lookback) String() string {
	if *l == 0 {
		return ""
	}
	return time.Duration(*l).String()
}

// Type is the name of the value in help.
func (l *lookback) Type() string { return "duration" }

// Set takes what the user wrote.
func (l *lookback) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); n > 100*365 {
			err = errNoSpan
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return errNoSpan
	}
	*l = lookback(d)
	return nil
}

// errNoTime says that a time can't be read.
var errNoTime = errors.New("want how far back, as 24h or 7d, or a day, as 2026-03-14")

// sinceWhen reads how far back somebody wants to look.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var l lookback
	if l.Set(text) == nil {
		return now.Add(-time.Duration(l)), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errNoTime
}

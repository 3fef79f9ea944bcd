// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// redirectLogs sends the warnings and errors of every component to dir's log
// file, which grows from run to run. Standard output is the ready line's alone.
func redirectLogs(dir layout) (*os.File, error) {
	file, err := os.OpenFile(dir.log(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr":     "false",
		"alsologtostderr": "false",
		"stderrthreshold": "FATAL",
		"one_output":      "true", // else every error is written once per lower severity too
	} {
		if err := flags.Set(name, value); err != nil {
			return nil, fmt.Errorf("configure log: %w", err)
		}
	}
	klog.SetOutput(file)
	klog.SetOutputBySeverity("INFO", io.Discard) // some 400 lines a start
	log.SetOutput(file)
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return file, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/process"
)

func versionCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version of this command line, the Go version that it was built with, and
the platform. 'plumbline doctor' compares it with the renderer's, and with that of an
'up' or 'nats serve' on this machine.`,
		Example: "  plumbline version\n  plumbline version -o json | jq -r .version",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{process.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if out == formatJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "plumbline %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
	out.flags(cmd)
	return cmd
}

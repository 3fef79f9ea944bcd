// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Groups of flags in help, in the order of help; flags without one are the
// command's own and stand first.
const (
	flagsCluster = "Which cluster to look into:"
	flagsSystem  = "Which system to speak to:"
	flagsOutput  = "Output:"
	flagsOwn     = "Flags:"
)

var flagGroups = []string{flagsOwn, flagsCluster, flagsSystem, flagsOutput}

// groupAnnotation marks a flag with its group.
const groupAnnotation = "plumbline-group"

// grouped puts flags of cmd into a group of its help.
func grouped(cmd *cobra.Command, group string, names ...string) {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[groupAnnotation] = []string{group}
	}
}

// groupOf is the group that help shows a flag in.
func groupOf(f *pflag.Flag) string {
	if group := f.Annotations[groupAnnotation]; len(group) > 0 {
		return group[0]
	}
	if f.Name == "help" || f.Name == "version" {
		return flagsOutput
	}
	return flagsOwn
}

// usageFlags are the flags of a command as help shows them.
func usageFlags(cmd *cobra.Command) string {
	sets := map[string]*pflag.FlagSet{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		group := groupOf(f)
		if sets[group] == nil {
			sets[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
		}
		sets[group].AddFlag(f)
	})
	if len(sets) == 1 { // help alone
		for _, only := range sets {
			return flagsOwn + "\n" + strings.TrimRight(only.FlagUsages(), " \n")
		}
	}
	var parts []string
	for _, group := range flagGroups {
		if set := sets[group]; set != nil {
			parts = append(parts, group+"\n"+strings.TrimRight(set.FlagUsages(), " \n"))
		}
	}
	return strings.Join(parts, "\n\n")
}

// cobraFlags is where cobra's own template shows flags.
const cobraFlags = "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"

// usageTemplate is cobra's, with our groups of flags and the exit codes.
func usageTemplate(cobras string) string {
	return strings.Replace(cobras, cobraFlags, "{{usageFlags .}}", 1) + exitHelp
}

// checkHelp has no help printed of what is no command: cobra gives that of the
// command above it, and looks at the arguments afterwards. The error is that of the
// same call without --help.
func checkHelp(root *cobra.Command) *error {
	mistaken, help := new(error), root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() {
			*mistaken = onlyCommands(cmd, cmd.Flags().Args())
		}
		if *mistaken == nil {
			help(cmd, args)
		}
	})
	return mistaken
}

// takesApplication reports whether the first argument of a command is the name
// of an application.
func takesApplication(cmd *cobra.Command) bool {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	first, _, _ := strings.Cut(arguments, " ")
	return slices.Contains(strings.Split(strings.Trim(first, "[]"), "|"), "APP")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
)

// shells are those that a completion script can be made for, with how to
// install it.
var shells = []struct {
	name, long, example string
	write               func(root *cobra.Command, w io.Writer) error
}{
	{
		"bash", `Prints the completion script for bash. It needs the package bash-completion (version
2), which most distributions have and macOS doesn't: there, 'brew install
bash-completion@2' first.`,
		"  source <(plumbline completion bash)\n" +
			"  plumbline completion bash > /etc/bash_completion.d/plumbline\n" +
			"  plumbline completion bash > \"$(brew --prefix)/etc/bash_completion.d/plumbline\"",
		func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	},
	{
		"zsh", `Prints the completion script for zsh. Completion has to be on: 'autoload -U compinit;
compinit' in ~/.zshrc. Begin a new shell after you have put the script in place.`,
		"  source <(plumbline completion zsh)\n" +
			"  plumbline completion zsh > \"${fpath[1]}/_plumbline\"\n" +
			"  plumbline completion zsh > \"$(brew --prefix)/share/zsh/site-functions/_plumbline\"",
		func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
	},
	{
		"fish", `Prints the completion script for fish. fish reads the folder of the second example
by itself, so nothing else is needed: begin a new shell after you have put it there.`,
		"  plumbline completion fish | source\n" +
			"  plumbline completion fish > ~/.config/fish/completions/plumbline.fish",
		func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	},
	{
		"powershell", `Prints the completion script for PowerShell. Put the first example into the file
$PROFILE to have it in every session.`,
		"  plumbline completion powershell | Out-String | Invoke-Expression\n" +
			"  plumbline completion powershell >> $PROFILE",
		func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
	},
}

func completionCommand() *cobra.Command {
	var names []string
	for _, s := range shells {
		names = append(names, s.name)
	}
	cmd := &cobra.Command{
		Use:   "completion " + strings.Join(names, "|"),
		Short: "Print the script that completes commands in your shell",
		Long: `Prints a script for your shell that completes commands, flags, values of flags and
the names of applications: 'plumbline status shop-<TAB>' asks the running system, as
status itself would, and says nothing where that doesn't answer at once.

Each shell has its own place for the script: see --help of 'completion SHELL'.`,
		Example: "  source <(plumbline completion bash)\n  plumbline completion fish > ~/.config/fish/completions/plumbline.fish\n  plumbline completion zsh --help",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no shell %q: want one of %s", args[0], strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, s := range shells {
		cmd.AddCommand(&cobra.Command{
			Use: s.name, Short: "Print the completion script for " + s.name, Long: s.long, Example: s.example,
			Args: between(0, 0, ""),
			RunE: func(cmd *cobra.Command, _ []string) error { return s.write(cmd.Root(), cmd.OutOrStdout()) },
		})
	}
	return cmd
}

// mustComplete has the values of a flag completed.
func mustComplete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag isn't there, or has values already
	}
}

// completing is how long a person at a TAB is let wait for names.
const completing = 500 * time.Millisecond

// completeApplications completes the first argument of cmd by the names of
// applications in the system that at leads to. It fails in silence: nobody
// wants to read an error at a TAB.
func completeApplications(cmd *cobra.Command, at *target) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return applicationNames(cmd.Context(), at, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// applicationNames are the names of applications that begin so; none where the
// bus doesn't say so in time. Names are read off subjects: no event is read.
func applicationNames(ctx context.Context, at *target, begun string) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completing)
	defer cancel()
	conn, err := at.connect(ctx, io.Discard)
	if err != nil {
		return nil
	}
	defer conn.Close()
	subjects, err := conn.Subjects(ctx, "plumbline.v1.commit.observed.*.*")
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range subjects {
		if _, a, err := events.ParseSubject(s); err == nil && strings.HasPrefix(a.Application, begun) && printable(a.Application) == a.Application {
			names = append(names, a.Application)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

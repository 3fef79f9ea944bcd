// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		GroupID: "run",
		Short:   "Make the keys of a separate deployment",
		Long: `The keys that keep what travels on the bus unreadable there: of sources, which
watcher and renderer share, and of Secrets, which only the cluster's applier opens.
'plumbline up' makes its own; each service of a deployment in parts is given a file.
The keys of the bus's users are another matter: 'plumbline nats serve' makes those.`,
		Example: "  plumbline keys init --data /var/lib/plumbline\n  plumbline keys init --help",
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keysInitCommand(), keysManifestsCommand())
	return cmd
}

func keysInitCommand() *cobra.Command {
	var data string
	var clusters []string
	var out format
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the keys that are missing, each once",
		Long: `Makes in DATA/keys what is missing, and leaves alone what is there:
  source.key             for watcher and renderer: encrypts what of Git travels on the bus
  <cluster>.age          for the cluster's applier: opens Secrets
  <cluster>.recipient    its public half, for the watcher (--local-recipient)
  <cluster>.digest.key   for the cluster's auditor: compares Secrets without opening them

Keep a copy: what is sealed to a lost key must be sealed anew. 'plumbline up' does
this itself.`,
		Example: "  plumbline keys init --data /var/lib/plumbline\n  plumbline keys init --data /var/lib/plumbline --cluster local --cluster eu-west",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := place(data)
			if err := p.ensureKeys(clusters); err != nil {
				return err
			}
			if out == formatJSON {
				type files struct {
					Cluster   string `json:"cluster"`
					Identity  string `json:"identity"`
					Recipient string `json:"recipient"`
					DigestKey string `json:"digestKey"`
				}
				v := struct {
					SourceKey string  `json:"sourceKey"`
					Clusters  []files `json:"clusters"`
				}{SourceKey: p.sourceKey()}
				for _, c := range clusters {
					v.Clusters = append(v.Clusters, files{c, p.identity(c), p.recipient(c), p.digestKey(c)})
				}
				return printJSON(cmd.OutOrStdout(), v)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintln(w, p.sourceKey())
			for _, c := range clusters {
				fmt.Fprintf(w, "%s\n%s\n%s\n", p.identity(c), p.recipient(c), p.digestKey(c))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultPlace(), "folder to make keys/ in")
	cmd.Flags().StringSliceVar(&clusters, "cluster", []string{"local"}, "cluster to make keys for; may be given several times")
	out.flags(cmd)
	return cmd
}

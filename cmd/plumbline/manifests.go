// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

// secretsOptions say which Secrets keys manifests writes.
type secretsOptions struct {
	data           string
	cluster        string
	namespace      string
	slackToken     string // file
	gitCredentials string // folder
	webhookSecrets string // folder
}

func keysManifestsCommand() *cobra.Command {
	var o secretsOptions
	cmd := &cobra.Command{
		Use:   "manifests",
		Short: "Write the keys as the Secrets that deploy/kubernetes mounts",
		Long: `Makes the keys that are missing in DATA, as 'keys init' and 'nats serve' do, and
prints a Secret for each workload of deploy/kubernetes with what that one needs and
nothing else:
  plumbline-nats       the provisioner's seed, and every other user's public key
  plumbline-watcher    its seed, the source key, the cluster's recipient
  plumbline-renderer   its seed, the source key
  plumbline-applier    its seed, the age identity that opens Secrets
  plumbline-auditor    its seed, the digest key
  plumbline-notifier   its seed
and, where they are given, plumbline-slack, plumbline-webhooks and, for each
repository, plumbline-git-<repository>.

What it prints are keys: pipe it into kubectl, keep DATA, and commit neither. The
keys of people, operator.nk and reader.nk, stay in DATA/nats/keys.`,
		Example: "  plumbline keys manifests --data ~/plumbline-keys | kubectl apply --server-side -f -\n" +
			"  plumbline keys manifests --data ~/plumbline-keys --slack-token slack.token --git-credentials git | kubectl apply --server-side -f -",
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			secrets, err := o.secrets()
			if err != nil {
				return err
			}
			return writeSecrets(cmd.OutOrStdout(), secrets, o.namespace)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.data, "data", defaultPlace(), "folder to keep the keys in")
	fs.StringVar(&o.cluster, "cluster", local, "the cluster whose applier and auditor they are for")
	fs.StringVar(&o.namespace, "namespace", "plumbline-system", "namespace of the Secrets")
	fs.StringVar(&o.slackToken, "slack-token", "", "file with the notifier's Slack token")
	fs.StringVar(&o.gitCredentials, "git-credentials", "", "folder with <repository>/{username,password,identity,known_hosts,ca.crt}")
	fs.StringVar(&o.webhookSecrets, "webhook-secrets", "", "folder with the secret of each repository's webhook in a file of its name")
	return cmd
}

// secret is a Kubernetes Secret, as far as it is needed here.
type secret struct {
	name string
	data map[string][]byte
}

// secrets makes what is missing of the keys and reads them.
func (o secretsOptions) secrets() ([]secret, error) {
	p := place(o.data)
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	if err := p.ensureKeys([]string{o.cluster}); err != nil {
		return nil, err
	}
	public, err := natsserver.PublicKeys(natsserver.Options{Dir: p.nats(), Clusters: []string{o.cluster}})
	if err != nil {
		return nil, err
	}
	all := []secret{{"plumbline-nats", map[string][]byte{}}}
	for user, key := range public {
		all[0].data[user+natsserver.PublicSuffix] = []byte(key + "\n")
	}
	delete(all[0].data, natsconfig.Provisioner+natsserver.PublicSuffix)
	files := []map[string]string{{natsconfig.Provisioner + ".nk": p.natsKey(natsconfig.Provisioner)}}
	for _, s := range []struct {
		name, user string
		files      map[string]string
	}{
		{"plumbline-watcher", "watcher", map[string]string{"source.key": p.sourceKey(), "recipient": p.recipient(o.cluster)}},
		{"plumbline-renderer", "renderer", map[string]string{"source.key": p.sourceKey()}},
		{"plumbline-applier", natsconfig.UserName("applier", o.cluster), map[string]string{"age.identity": p.identity(o.cluster)}},
		{"plumbline-auditor", natsconfig.UserName("auditor", o.cluster), map[string]string{"digest.key": p.digestKey(o.cluster)}},
		{"plumbline-notifier", "notifier", map[string]string{}},
	} {
		s.files["nats.nk"] = p.natsKey(s.user)
		all, files = append(all, secret{s.name, map[string][]byte{}}), append(files, s.files)
	}
	for i, paths := range files {
		if err := all[i].read(paths); err != nil {
			return nil, err
		}
	}
	given, err := o.given()
	return append(all, given...), err
}

// given are the Secrets of what others have made.
func (o secretsOptions) given() ([]secret, error) {
	var all []secret
	if o.slackToken != "" {
		s := secret{"plumbline-slack", map[string][]byte{}}
		if err := s.read(map[string]string{"token": o.slackToken}); err != nil {
			return nil, fmt.Errorf("--slack-token: %w", err)
		}
		all = append(all, s)
	}
	if o.gitCredentials != "" {
		repositories, err := os.ReadDir(o.gitCredentials)
		if err != nil {
			return nil, fmt.Errorf("--git-credentials: %w", err)
		}
		for _, r := range repositories {
			s, err := secretOf("plumbline-git-"+r.Name(), filepath.Join(o.gitCredentials, r.Name()))
			if err != nil {
				return nil, fmt.Errorf("--git-credentials: %w", err)
			}
			all = append(all, s)
		}
	}
	if o.webhookSecrets != "" {
		s, err := secretOf("plumbline-webhooks", o.webhookSecrets)
		if err != nil {
			return nil, fmt.Errorf("--webhook-secrets: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// secretOf holds the files of a folder.
func secretOf(name, dir string) (secret, error) {
	s := secret{name, map[string][]byte{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s, err
	}
	paths := map[string]string{}
	for _, e := range entries {
		paths[e.Name()] = filepath.Join(dir, e.Name())
	}
	return s, s.read(paths)
}

// read adds the contents of files, by key.
func (s secret) read(paths map[string]string) error {
	for key, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s of Secret %s: %w", key, s.name, err)
		}
		s.data[key] = text
	}
	return nil
}

// writeSecrets prints Secrets as YAML documents, in the order in which they
// are given.
func writeSecrets(w io.Writer, secrets []secret, namespace string) error {
	for _, s := range secrets {
		text, err := yaml.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": s.data, // in base64
			"metadata": map[string]any{
				"name": s.name, "namespace": namespace, "labels": map[string]string{"app.kubernetes.io/part-of": "plumbline"},
			},
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// webhookSecret is what the Git host and the watcher share.
const webhookSecret = "a secret of the rig's own"

// Repo makes a repository on the Git server, and a webhook for it.
func (r *Rig) Repo(name string) (*gitserver.Repo, error) {
	if err := r.writeSecret(name); err != nil {
		return nil, err
	}
	repo, err := r.Git.Repo(name)
	if err == nil && r.Links != nil { // where the watcher is to look for it
		repo.URL, err = r.Links.Git.Through(repo.URL)
	}
	return repo, err
}

// Push pushes the work tree's branch over HTTP, as a person would.
func (r *Rig) Push(_ context.Context, repo *gitserver.Repo, args ...string) error {
	_, err := repo.Git(append(append([]string{"push", "--quiet"}, args...), repo.URL, "HEAD:main")...)
	return err
}

// WebhookURL is where the webhook of a repository is rung.
func (r *Rig) WebhookURL(repository string) string {
	return fmt.Sprintf("http://127.0.0.1:%d/webhook/%s", r.ports.webhook, repository)
}

// Ring posts the webhook of a repository, signed as a Git host signs it.
func (r *Rig) Ring(ctx context.Context, repo *gitserver.Repo) error {
	body := []byte(`{"ref":"refs/heads/main"}`)
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write(body)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.WebhookURL(repo.Name), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ring the webhook of %s: %w", repo.Name, err)
	}
	request.Close = true // as from a Git host; one that was kept may be closed just then
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ring the webhook of %s: %w", repo.Name, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("ring the webhook of %s: %w", repo.Name, err)
	}
	// Before the fleet is read the watcher doesn't know the repository yet,
	// and will look at it when it does.
	if response.StatusCode/100 != 2 && response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("ring the webhook of %s: %s: %s", repo.Name, response.Status, answer)
	}
	return nil
}

// writeSecret lets the webhook of a repository be rung.
func (r *Rig) writeSecret(repository string) error {
	path := filepath.Join(r.Dir, "webhook-secrets", repository)
	if err := os.WriteFile(path, []byte(webhookSecret), 0o600); err != nil {
		return fmt.Errorf("rig: webhook secret: %w", err)
	}
	return nil
}

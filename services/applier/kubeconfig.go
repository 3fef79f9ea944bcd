// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// loadKubeconfig reads a kubeconfig; an empty path means the service account
// of the pod. It refuses what would run programs or trust any server: a
// kubeconfig may come from somewhere else than its user thinks
// (CVE-2022-24817).
func loadKubeconfig(path string) (*rest.Config, error) {
	if path == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no --kubeconfig, and no service account: %w", err)
		}
		return cfg, nil
	}
	raw, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	if err := checkKubeconfig(raw); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	cfg, err := clientcmd.NewDefaultClientConfig(*raw, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return cfg, nil
}

// checkKubeconfig looks at every user and cluster, used or not.
func checkKubeconfig(raw *clientcmdapi.Config) error {
	for name, user := range raw.AuthInfos {
		switch {
		case user.Exec != nil:
			return fmt.Errorf("the user %s runs a program (exec) to log in: give it a client certificate or a token", name)
		case user.AuthProvider != nil:
			return fmt.Errorf("the user %s logs in with an auth-provider: give it a client certificate or a token", name)
		}
	}
	for name, cluster := range raw.Clusters {
		if cluster.InsecureSkipTLSVerify {
			return fmt.Errorf("the cluster %s sets insecure-skip-tls-verify: give its certificate authority instead", name)
		}
	}
	return nil
}

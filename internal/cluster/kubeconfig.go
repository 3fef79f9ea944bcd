// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Config is how a service reaches its cluster: by a kubeconfig, or, where path
// is empty, by the service account of the pod.
//
// A kubeconfig may come from somewhere else than its user thinks
// (CVE-2022-24817). It is refused where it runs a program, sends a file of
// this machine that doesn't belong to it, or reaches a server that it doesn't
// verify. Its error quotes nothing of the file but names. What is asked by it is
// asked of its server alone: a redirect to another one is not followed.
//
// Answers come as they are. Most are changes that a watch tells of, some hundred
// bytes each, which the API server would compress and flush one by one.
func Config(path string) (*rest.Config, error) {
	config, err := read(path)
	if err != nil {
		return nil, err
	}
	config.DisableCompression = true
	return config, nil
}

func read(path string) (*rest.Config, error) {
	if path == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no --kubeconfig, and no service account: %w", err)
		}
		config.Wrap(stay(config.Host))
		return config, nil
	}
	raw, err := clientcmd.LoadFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("kubeconfig %s is missing; give the cluster's with --kubeconfig", path)
	case errors.As(err, new(*fs.PathError)):
		return nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	case err != nil: // the parser quotes what it reads
		return nil, fmt.Errorf("read kubeconfig %s: it is none (apiVersion: v1, kind: Config)", path)
	}
	if err := clientcmd.ResolveLocalPaths(raw); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	if err := check(raw, path); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, "", nil, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	if _, err := rest.TLSConfigFor(config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: its certificates: %w", path, err)
	}
	config.Wrap(stay(config.Host))
	return config, nil
}

// check looks at every user and cluster, used or not.
func check(raw *clientcmdapi.Config, path string) error {
	if raw.Contexts[raw.CurrentContext] == nil {
		return fmt.Errorf("its current-context %q is none of its contexts: name one of them", raw.CurrentContext)
	}
	for name, user := range raw.AuthInfos {
		switch {
		case user.Exec != nil:
			return fmt.Errorf("the user %s runs a program (exec) to log in: give it a client certificate or a token", name)
		case user.AuthProvider != nil:
			return fmt.Errorf("the user %s logs in with an auth-provider: give it a client certificate or a token", name)
		case user.TokenFile != "" && !beside(user.TokenFile, path):
			return fmt.Errorf("the tokenFile of the user %s lies elsewhere than the kubeconfig, and would be sent to its server: put it beside the kubeconfig, or leave --kubeconfig out for the service account of the pod", name)
		}
	}
	for name, cluster := range raw.Clusters {
		u, err := url.Parse(cluster.Server)
		switch {
		case cluster.InsecureSkipTLSVerify:
			return fmt.Errorf("the cluster %s sets insecure-skip-tls-verify: give its certificate authority instead", name)
		case cluster.Server == "":
			return fmt.Errorf("the cluster %s has no server: give it an address such as https://10.0.0.1:6443", name)
		case err != nil || u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("the server of the cluster %s is not reached over https: give it an address such as https://10.0.0.1:6443", name)
		}
	}
	return nil
}

// beside says whether a file is in, or below, the folder of another, links
// followed.
func beside(file, other string) bool {
	folder, err := filepath.EvalSymlinks(filepath.Dir(other))
	if err != nil {
		return false
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return false
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return false
	}
	if file, err = filepath.Abs(file); err != nil {
		return false
	}
	below, err := filepath.Rel(folder, file)
	return err == nil && filepath.IsLocal(below)
}

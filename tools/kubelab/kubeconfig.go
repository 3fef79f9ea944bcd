// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigFor is a kubeconfig, with everything inside it, by which u talks to
// the cluster of dir.
func kubeconfigFor(dir layout, u user) ([]byte, error) {
	port, err := dir.readPort()
	if err != nil {
		return nil, err
	}
	ca, err := loadAuthority(dir, "ca")
	if err != nil {
		return nil, err
	}
	client, err := ca.issueClient(u)
	if err != nil {
		return nil, err
	}
	const name = "kubelab"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   serverURL(port),
		CertificateAuthorityData: encodePEM("CERTIFICATE", ca.cert.Raw),
	}
	config.AuthInfos[u.Name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: client.cert,
		ClientKeyData:         client.key,
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: u.Name}
	config.CurrentContext = name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode kubeconfig of %s: %w", u.Name, err)
	}
	return data, nil
}

// mintKubeconfig writes a kubeconfig for a user to out.
func mintKubeconfig(dir layout, name string, groups []string, out string) error {
	if name == "" {
		return errors.New("--user must not be empty")
	}
	data, err := kubeconfigFor(dir, user{Name: name, Groups: groups})
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no cluster in %s yet; start it with: kubelab up --dir %s (%w)", string(dir), string(dir), err)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return writeFile(out, data)
}

// writeComponentKubeconfigs writes the administrator's kubeconfig and those by
// which the components reach the API server.
func writeComponentKubeconfigs(dir layout) error {
	for path, u := range map[string]user{
		dir.kubeconfig():              adminUser,
		dir.run("controller-manager"): controllerManagerUser,
		dir.run("scheduler"):          schedulerUser,
		dir.run("nodes"):              nodesUser,
	} {
		data, err := kubeconfigFor(dir, u)
		if err != nil {
			return err
		}
		if err := writeFile(path, data); err != nil {
			return err
		}
	}
	return nil
}

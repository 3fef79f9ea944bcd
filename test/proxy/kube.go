// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// NewKube is a proxy before an API server, for one user: it ends TLS with a
// certificate of an authority of its own, and speaks to the API server as the
// user of the kubeconfig, whose rights and whose name in managedFields and
// audit stay what they are. Into the file out it writes a kubeconfig that leads
// through it and holds no credentials.
func NewKube(kubeconfig, out string) (*Web, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("proxy before the API server: %w", err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("proxy before the API server: %w", err)
	}
	trust, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("proxy before the API server: %w", err)
	}
	w, err := newWeb(config.Host, transport, trust)
	if err != nil {
		return nil, err
	}
	if err := w.writeKubeconfig(out); err != nil {
		_ = w.Close() // what counts is why there is none
		return nil, err
	}
	return w, nil
}

func (w *Web) writeKubeconfig(out string) error {
	const name = "proxy"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: w.URL(), CertificateAuthorityData: w.trust.pem}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode the proxy's kubeconfig: %w", err)
	}
	if err := os.WriteFile(out, data, 0o600); err != nil {
		return fmt.Errorf("write the proxy's kubeconfig: %w", err)
	}
	return nil
}

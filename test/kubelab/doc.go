// SPDX-License-Identifier: Apache-2.0

// Package kubelab gives tests, benchmarks and the demo a real Kubernetes
// control plane: it builds tools/kubelab once per machine and version, and runs
// it as a child process that cannot outlive its parent.
//
// A package's tests share one cluster:
//
//	func TestMain(m *testing.M) { kubelab.Main(m) }
//
//	func TestApply(t *testing.T) {
//		cluster := kubelab.ForTest(t)
//		... clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig())
//	}
//
// A test that stops, kills or restarts its cluster takes its own from [New].
// Anything that is no test uses [Start].
//
// It owns the cluster's directory, and the cache folder of binaries, each with
// the template that its clusters begin with. It holds no Kubernetes client and no
// dependency beyond the standard library, and binds no RBAC: a user from
// [Cluster.UserKubeconfig] may do nothing until the caller grants it something.
package kubelab

// SPDX-License-Identifier: Apache-2.0

// Command kubelab is a real Kubernetes control plane in one process, for
// tests and demonstrations on a machine without a container engine.
//
// It runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler
// from their own Go modules, and nodes that kwok drives, so that pods are
// scheduled and become Ready although nothing is executed. Authentication by
// client certificate and service account token, RBAC, admission and API
// priority and fairness are those of a production cluster.
//
// It owns its --dir: certificates, etcd's data, the port that it serves on and
// its log. The same directory gives the same cluster at the same address after
// any end, kill -9 included.
//
// It does not run containers, route Services, provision volumes, or serve
// anything beyond loopback. It is no cluster for production: by default etcd
// does not fsync.
package main

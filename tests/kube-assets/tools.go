//go:build tools

// Package tools names the real Kubernetes programs that the tests run against,
// so that go.mod and go.sum pin them and everything they are built from.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)

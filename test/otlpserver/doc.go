// SPDX-License-Identifier: Apache-2.0

// Package otlpserver is an OTLP receiver on loopback, by gRPC and by HTTP
// (https://opentelemetry.io/docs/specs/otlp/), that keeps what it is sent. It
// stands in for a collector: it can hang, or refuse, it knows which spans'
// parents never came, and it draws a trace as text.
//
// It speaks protobuf only, and takes no logs.
package otlpserver

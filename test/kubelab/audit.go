// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Request is one request to the API server, from its audit log.
type Request struct {
	User      string    // for instance system:serviceaccount:shop:default
	UserAgent string    // as the client sent it
	Verb      string    // get, list, watch, create, update, patch, delete, ...
	URI       string    // path and query
	Group     string    // API group, empty for the core group
	Resource  string    // plural; empty for a request to no resource
	Sub       string    // subresource: status, scale, ...
	Namespace string    // empty for a cluster-scoped request
	Name      string    // empty for a request to a collection
	Code      int       // HTTP status; 0 for a watch that is still open
	Received  time.Time // by the API server's clock
}

// auditEvent is the part of audit.k8s.io/v1 Event that Request is made of.
type auditEvent struct {
	AuditID    string `json:"auditID"`
	Stage      string `json:"stage"`
	RequestURI string `json:"requestURI"`
	Verb       string `json:"verb"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	UserAgent string `json:"userAgent"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
}

// Requests returns the requests that the API server received at or after since,
// each once, in the order in which they were first logged. The cluster must
// have been started with Options.Audit. A request is logged a moment after its
// response, so a caller that counts its own must allow for the last ones to
// come.
func (c *Cluster) Requests(since time.Time) ([]Request, error) {
	if !c.opts.Audit {
		return nil, errors.New("read audit log: the cluster was started without Options.Audit")
	}
	file, err := os.Open(filepath.Join(c.opts.Dir, "audit.log"))
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer func() { _ = file.Close() }() // read only
	return readRequests(file, since)
}

func readRequests(log io.Reader, since time.Time) ([]Request, error) {
	var requests []Request
	seen := map[string]int{} // index in requests by audit id: a watch is logged at its start and its end
	reader := bufio.NewReader(log)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return requests, nil // what follows the last newline is still being written
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if event.Received.Before(since) {
			continue
		}
		if i, ok := seen[event.AuditID]; ok {
			requests[i] = event.request()
			continue
		}
		seen[event.AuditID] = len(requests)
		requests = append(requests, event.request())
	}
}

func (e auditEvent) request() Request {
	r := Request{
		User: e.User.Username, UserAgent: e.UserAgent, Verb: e.Verb, URI: e.RequestURI,
		Group: e.ObjectRef.APIGroup, Resource: e.ObjectRef.Resource, Sub: e.ObjectRef.Subresource,
		Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name, Received: e.Received,
	}
	if e.Stage != "ResponseStarted" {
		r.Code = e.ResponseStatus.Code
	}
	return r
}

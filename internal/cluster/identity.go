// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Server is what an API server says of itself.
type Server struct {
	Version string    // v1.37.2
	Date    time.Time // its clock, in whole seconds; zero where it didn't say
	Asked   time.Time // by the local clock, half way between question and answer
}

// maxVersion is how many bytes of an answer to /version are read.
const maxVersion = 64 << 10

// Look asks the API server for its version and its time.
func (r *Reader) Look(ctx context.Context) (Server, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.server, "/")+"/version", nil)
	if err != nil {
		return Server{}, err
	}
	begun := time.Now()
	answer, err := r.http.Do(request)
	if err != nil {
		return Server{}, fmt.Errorf("ask for its version: %w", err)
	}
	defer answer.Body.Close()
	s := Server{Asked: begun.Add(time.Since(begun) / 2)}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		s.Date = date
	}
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask for its version: it answers %s", answer.Status)
	}
	var said struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxVersion)).Decode(&said); err != nil {
		return s, fmt.Errorf("ask for its version: %w", err)
	}
	s.Version = said.GitVersion
	return s, nil
}

// User is the name that the API server knows the asker by.
func (r *Reader) User(ctx context.Context) (string, error) {
	review, err := r.asks.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask who this is: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// May asks whether the asker may do something to all objects of a kind in a
// namespace; everywhere where it is empty.
func (r *Reader) May(ctx context.Context, verb string, on Resource, namespace string) (bool, error) {
	review, err := r.asks.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: on.Group, Version: on.Version, Resource: on.GroupVersionResource.Resource, Namespace: namespace,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether it may %s %s: %w", verb, on.GroupVersionResource.Resource, err)
	}
	return review.Status.Allowed, nil
}

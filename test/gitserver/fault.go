// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"net/http"
	"time"
)

// Fault stands before the server and may answer in its place.
type Fault func(next http.Handler) http.Handler

// Inject puts a fault before every following HTTP request; nil takes it away.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Status answers every request with a status.
func Status(code int) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(code), code)
		})
	}
}

// Down cuts every connection without an answer.
func Down() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		})
	}
}

// Redirect sends every request to the same path at another root
// ("http://127.0.0.1:1234").
func Redirect(root string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, root+r.URL.RequestURI(), http.StatusFound)
		})
	}
}

// Slow answers after a delay, or not at all if the client goes first.
func Slow(delay time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})
	}
}

// For injects a fault for one repository.
func For(repository string, f Fault) Fault {
	return func(next http.Handler) http.Handler {
		broken := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if repositoryOf(r) == repository {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Only injects a fault for one kind of request.
func Only(kind Kind, f Fault) Fault {
	return func(next http.Handler) http.Handler {
		broken := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if kindOf(r) == kind {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// want is what an application needs read.
type want struct {
	kind      schema.GroupKind
	version   string
	namespace string
	observe   bool // objects of it need not carry our label
}

// readers runs one reader per kind that an application needs. Where a kind may
// not be read everywhere, it runs one for each namespace that is needed.
type readers struct {
	cluster *cluster
	sink    sink
	every   time.Duration
	timing  timing
	secrets bool // their bodies can be compared
	log     *slog.Logger

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before it
	done    sync.WaitGroup
	wants   map[string]map[want]bool // by application
	running map[scope]*runningReader
	news    map[string]bool // applications for which a kind came or went
}

type runningReader struct {
	*reader
	stop context.CancelFunc
}

// run starts what is needed and returns when ctx has ended and every reader
// has stopped.
func (r *readers) run(ctx context.Context) {
	r.mu.Lock()
	r.ctx = ctx
	r.settle()
	r.mu.Unlock()
	<-ctx.Done()
	r.done.Wait()
}

// need replaces what one application needs.
func (r *readers) need(application string, wants map[want]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if maps.Equal(r.wants[application], wants) { // as after most revisions
		return
	}
	if len(wants) == 0 {
		delete(r.wants, application)
	} else {
		r.wants[application] = wants
	}
	r.settle()
}

// settle starts and stops readers until those run that are needed.
func (r *readers) settle() {
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	needed := r.needed()
	for s, running := range r.running {
		if !needed[s] {
			running.stop()
			delete(r.running, s)
		}
	}
	for s := range needed {
		if _, ok := r.running[s]; ok {
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		reader := &reader{scope: s, cluster: r.cluster, sink: r.sink, every: r.every, timing: r.timing, log: r.log}
		r.running[s] = &runningReader{reader, stop}
		r.done.Go(func() { reader.run(ctx) })
	}
}

func (r *readers) needed() map[scope]bool {
	needed := make(map[scope]bool, len(r.running))
	kinds := map[schema.GroupKind]scope{}
	for _, wants := range r.wants {
		for w := range wants {
			s, ok := kinds[w.kind]
			if !ok || w.version < s.version {
				s.kind, s.version = w.kind, w.version
			}
			s.all = s.all || w.observe
			s.heads = !r.secrets && w.kind == schema.GroupKind{Kind: "Secret"}
			kinds[w.kind] = s
		}
	}
	denied := false
	for _, s := range kinds {
		needed[s] = true
		wide, ok := r.running[s]
		denied = denied || ok && wide.is() == Denied
	}
	if !denied {
		return needed
	}
	for _, wants := range r.wants {
		for w := range wants {
			s := kinds[w.kind]
			if wide, ok := r.running[s]; ok && wide.is() == Denied && w.namespace != "" {
				s.namespace = w.namespace
				needed[s] = true
			}
		}
	}
	return needed
}

// changed reports, once, that a kind has come or gone that an application
// needs.
func (r *readers) changed(application string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.news[application]
	delete(r.news, application)
	return news
}

// state takes a change of a reader's state and returns the applications that
// it concerns.
func (r *readers) state(s scope) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	var concerned []string
	for application, wants := range r.wants {
		for w := range wants {
			if w.kind == s.kind {
				concerned = append(concerned, application)
				r.news[application] = true
				break
			}
		}
	}
	return concerned
}

// ready is what keeps the auditor from its work: an API server that does not
// answer; nil: nothing.
func (r *readers) ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		return errors.New("the log is being read")
	}
	for s, running := range r.running {
		if running.failing.Load() {
			return fmt.Errorf("the API server of cluster %s does not answer for %s", r.cluster.name, s.kind)
		}
	}
	return nil
}

// reading tells how far the kind of an object is read where it is.
func (r *readers) reading(kind schema.GroupKind, namespace string) Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := Starting
	for s, running := range r.running {
		if s.kind != kind || s.namespace != "" && s.namespace != namespace {
			continue
		}
		switch reading := running.is(); {
		case reading == Listed || reading == Unserved:
			return reading
		case reading == Denied && s.namespace == namespace:
			is = Denied // the narrowest that there can be
		case reading == Denied && is == Starting && namespace == "":
			is = Denied
		}
	}
	return is
}

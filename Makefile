# SPDX-License-Identifier: Apache-2.0

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

module   := github.com/plumbline-dev/plumbline
services := watcher renderer applier auditor notifier
commands := plumbline $(services)
version  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ldflags  := -X $(module)/internal/process.version=$(version)

# Memory is there and processor time is not: GOGC=400, here and in every process
# that a test starts, saves a tenth of it, and linking without the tables for
# debuggers two fifths of a link. Four packages at once: those that start many
# processes mostly wait, and are begun first, beside those that compute. A test
# that measures time measures it of the processor, or a ratio.
#
# The packages' test binaries are kept below bin: one whose package and imports are
# as they were is not linked again, which for all of them is a minute of processor
# time. So the packages that have no tests must be left out: go test refuses two
# binaries of one name, and would keep an empty one for cmd/watcher.
#
# Tests are started without GOTMPDIR, so that their TempDir is in memory too, see
# tools/scratch: what a bus there writes costs no disk. A program that has the race
# detector sleeps a whole second before it ends, unless told otherwise; what still
# runs then has a tenth of one to be caught.
testbin   := bin/test/packages/
testenv   := env -u GOTMPDIR GORACE=atexit_sleep_ms=100
testflags := -race -shuffle=on -count=1 -p 4 -parallel 3 -timeout 30m -exec '$(testenv)' -ldflags '-s -w -linkmode=internal' -o $(testbin)
tested    := {{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}
long      := $(addprefix ./,test/faults services/applier test/e2e internal/bus services/watcher services/auditor test/badinput \
  services/renderer test/demo services/notifier test/kubelab test/privileges test/deploy cmd/plumbline internal/fleet \
  test/cli deploy/nats internal/natsserver test/proxy internal/telemetry/export events)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(commands) kubelab ## build bin/plumbline, a binary per service, and bin/kubelab

.PHONY: $(commands)
$(commands):
	@echo "build bin/$@"
	@go build -trimpath -buildvcs=false -ldflags '$(ldflags)' -o bin/$@ ./cmd/$@

.PHONY: kubelab
kubelab: # a real control plane; the first build takes minutes and says so
	@echo "build bin/kubelab"
	@go run ./test/kubelab/install bin/kubelab

.PHONY: test
test: kubelab ## run every test, with the race detector and a real control plane
	@mkdir -p $(testbin)
	GOGC=400 tools/scratch go test $(testflags) $(long) $$(go list -f '$(tested)' ./... | grep -vxF "$$(go list $(long))")

.PHONY: test-unit
test-unit: ## run the tests that need no control plane: quick
	go test -shuffle=on -count=1 -timeout 5m $$(go list -f '$(without_kubelab)' ./...)

# Packages that import, or whose tests import, nothing that starts a control
# plane.
without_kubelab := {{$$k := false}}{{range .Imports}}{{if or (eq . "$(module)/test/kubelab") (eq . "$(module)/test/rig")}}{{$$k = true}}{{end}}{{end}}{{range .TestImports}}{{if or (eq . "$(module)/test/kubelab") (eq . "$(module)/test/rig")}}{{$$k = true}}{{end}}{{end}}{{range .XTestImports}}{{if or (eq . "$(module)/test/kubelab") (eq . "$(module)/test/rig")}}{{$$k = true}}{{end}}{{end}}{{if not $$k}}{{.ImportPath}}{{end}}

# Every fuzz target, one after the other, by package and name. Coverage of an
# execution is never quite the same twice here (pools, goroutines), so that
# minimizing what looks new is bounded: it would take all of the time.
FUZZTIME ?= 1h

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME each (1h); what fails is kept in its package's testdata/fuzz
	@git grep -oE '^func Fuzz[A-Za-z0-9]+' -- '*_test.go' | sed -E 's|/[^/]*:func | |' | sort | { failed=0; while read -r package target; do \
	  echo "fuzz $$package $$target"; \
	  go test "./$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 10x || failed=1; done; exit $$failed; }

.PHONY: fuzz-short
fuzz-short: ## fuzz every target for 20 seconds
	@$(MAKE) fuzz FUZZTIME=20s

.PHONY: demo
demo: build ## tell the story on a real cluster; WITHOUT=service leaves one out, KEEP=1 keeps it running
	@go run ./test/demo

.PHONY: bench
bench: build ## measure from outside beside the machine's raw limits; N=100,300 ONLY=one,edit RUNS=n measure a part
	@go run ./test/bench -json bin/bench.json $(if $(N),-n $(N)) $(if $(ONLY),-only $(ONLY)) $(if $(RUNS),-runs $(RUNS)) $(if $(N)$(ONLY)$(RUNS),,-doc docs/performance.md)

.PHONY: bench-go
bench-go: ## run the benchmarks of the packages
	go test -run '^$$' -bench . -benchmem -timeout 30m $$(go list ./... | grep -v '/test/')

# What a seed is made of; equal values, equal plan. HOLD=10m has the outages of
# rows F6 and F15 last that long each, beside a DURATION that is so for a few
# seconds of each. With RESULTS=faults.jsonl a seed counts in docs/faults.md too.
SEED     ?= 1
DURATION ?= 45s
FAULTS   ?=
APPS     ?= 24
STEPS    ?= 10
PROBES   ?= 16
HOLD     ?= 0
seeds    = go run ./test/faults/soak -duration $(DURATION) -faults '$(FAULTS)' -apps $(APPS) -steps $(STEPS) -probes $(PROBES) -hold $(HOLD)

.PHONY: faults
faults: kubelab ## run one seed of workload and faults: SEED=n DURATION=d FAULTS=a,b HOLD=10m; PLAN=1 prints its steps
	@$(seeds) -seed $(SEED) $(if $(PLAN),-plan) $(if $(filter-out file,$(origin RESULTS)),-results $(RESULTS))

# Several seeds at once, as a seed mostly waits. Stop it with Ctrl-C; it goes on
# where it was. LIMIT=30m begins none after that. 55 seeds break every kind twice
# and more, and what is gravest 20 times and more.
PARALLEL ?= 3
LIMIT    ?= 0
RESULTS  ?= faults.jsonl

.PHONY: soak
soak: kubelab ## run seed after seed until Ctrl-C, PARALLEL=n at once, adding to RESULTS, and sum up; LIMIT=30m
	@$(seeds) -forever -seed $(SEED) -parallel $(PARALLEL) -limit $(LIMIT) -results $(RESULTS)

.PHONY: faults-doc
faults-doc: ## write docs/faults.md from RESULTS, those of the present commit
	@$(seeds) -doc docs/faults.md -results $(RESULTS)

.PHONY: generate
generate: ## write what is generated: schemas, docs/events.md, telemetry.md, security.md, badinput.md
	go generate ./...

.PHONY: lint
lint: ## run golangci-lint as pinned in tools/lint
	@tools=$$(tools/lint/build); echo "golangci-lint run"; "$$tools/golangci-lint" run ./...; \
	  "$$tools/golangci-lint" run --build-tags failpoints ./internal/failpoint

.PHONY: format
format: ## format every Go file
	@tools=$$(tools/lint/build); $(gofiles) | xargs -0 "$$tools/gofumpt" -w

gofiles := git ls-files -coz --exclude-standard '*.go'

.PHONY: check
check: check-format check-vet lint check-generate check-floors ## everything short of the tests: format, vet, lint, generated files, floors

.PHONY: check-format
check-format:
	@echo "gofumpt -l"
	@tools=$$(tools/lint/build); bad=$$($(gofiles) | xargs -0 "$$tools/gofumpt" -l); \
	if [[ -n $$bad ]]; then printf 'not formatted (run make format):\n%s\n' "$$bad" >&2; exit 1; fi

.PHONY: check-vet
check-vet:
	go vet ./...
	go vet -tags failpoints ./internal/failpoint

# Compares the files before and after, so that it holds in a changed tree too.
.PHONY: check-generate
check-generate:
	@echo "go generate ./... changes nothing"
	@state() { git ls-files -coz --exclude-standard | xargs -0 sha256sum 2>/dev/null || true; }; \
	before=$$(state); go generate ./...; after=$$(state); \
	if [[ $$before != "$$after" ]]; then \
	  echo "generated files were out of date; they are written now, commit them:" >&2; \
	  diff <(echo "$$before") <(echo "$$after") | awk '/^[<>]/ {print "  " $$3}' | sort -u >&2; exit 1; fi

.PHONY: check-floors
check-floors:
	go test -count=1 ./internal/floors

.PHONY: clean
clean: ## remove bin; caches stay
	rm -rf bin

# `make demo` shows Rollcall at work, `make test` runs everything that a change must pass. Both bring up all they need.
# `make help` lists the targets. CLUSTER=auto|kind|bare|current says which cluster (see hack/cluster --help).

CLUSTER ?= auto
export CLUSTER
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
IMAGE := rollcall:dev
ANSIBLE_IMAGE := rollcall-ansible:dev
SSHHOST := rollcall-sshhost:dev
WITH_CLUSTER := source .cluster/env &&
PYTEST := $(BIN)/python -m pytest
# Most tests wait for pods more than they compute.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: demo clean-demo
demo: ## run a job on three SSH hosts in a real cluster, and show what comes of it
	@hack/demo

clean-demo: ## remove everything that the demo made
	@hack/demo clean

.PHONY: test check unit soak contract integration e2e bench
test: programs check unit contract cluster images $(CLIENTS)/.installed ## run everything that a change must pass
	@echo "== integration and end to end: real API server, kubelet and SSH hosts"
	@$(WITH_CLUSTER) $(PYTEST) $(SIDE_BY_SIDE) tests/integration tests/e2e

.PHONY: programs
programs: ## install what the tests talk to: sshd, sshpass, git, busybox
	@hack/test-programs

check: lint verify ## lint, types, import rules, generated files

unit: $(VENV)/.installed ## pure tests, in seconds
	@echo "== unit"
	@$(PYTEST) -q --numprocesses auto tests/unit

soak: $(VENV)/.installed ## what the unit tests simulate, further and elsewhere; make soak MINUTES=10
	@hack/soak $(MINUTES)

contract: $(VENV)/.installed ## the REST dialects against their contracts
	@echo "== contract"
	@$(PYTEST) -q tests/contract

integration: $(VENV)/.installed cluster images ## the programs from the source tree, on a real cluster
	@$(WITH_CLUSTER) $(PYTEST) $(SIDE_BY_SIDE) tests/integration

e2e: $(VENV)/.installed $(CLIENTS)/.installed cluster images ## the chart, installed by Helm
	@$(WITH_CLUSTER) $(PYTEST) tests/e2e

bench: $(VENV)/.installed cluster images ## measure; writes tests/perf/results/
	@$(WITH_CLUSTER) $(PYTEST) -q -s -o python_files="bench_*.py" tests/perf

.PHONY: lint format generate verify lock
lint: $(VENV)/.installed
	@echo "== lint and types"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary core operator runner api cli tests/support hack/local_cluster
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 12

format: $(VENV)/.installed ## format the code
	@$(BIN)/ruff check --fix --quiet . && $(BIN)/ruff format .

generate: $(VENV)/.installed ## write crds/ and the chart's copies from the models
	@$(BIN)/python hack/generate-crds
	@$(BIN)/python hack/generate-crds --output charts/rollcall/files/crds

verify: $(VENV)/.installed ## fail if generated files are not up to date
	@echo "== generated files"
	@$(BIN)/python hack/generate-crds --check
	@$(BIN)/python hack/generate-crds --check --output charts/rollcall/files/crds

lock: ## renew the lock files from pyproject.toml (needs uv); make lock UPGRADE=--upgrade for newer versions
	@hack/lock $(UPGRADE)

.PHONY: cluster images image down
cluster: ## bring up the cluster of this checkout, or find it up
	@hack/cluster up

images: cluster ## build the images and load them into the cluster
	@hack/cluster build --load -t $(IMAGE) .
	@hack/cluster build --load --target ansible -t $(ANSIBLE_IMAGE) .
	@hack/cluster build --load -t $(SSHHOST) hack/sshhost

down: ## stop the cluster, and what a killed test run left of a second one
	@hack/cluster down
	@if [ -x .cluster-apart/hack/cluster ]; then .cluster-apart/hack/cluster down; fi

# The virtual environment is made from the lock file, and anew when that changes.
$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@echo "== installing Python packages into $(VENV)"
	@hack/python-environment $(PYTHON) $(VENV)
	@touch $@

# Programs of others that the facade is tested with, as their users install them: Ansible with its collections.
$(CLIENTS)/.installed: requirements-clients.lock
	@echo "== installing the facade's clients into $(CLIENTS)"
	@$(PYTHON) -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-clients.lock
	@touch $@

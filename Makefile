# Two commands matter: `make run` shows the system at work, `make test` proves it. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/oms_events services/gateway services/catalog services/inventory services/orders \
            services/fulfilment services/logistics services/settlement services/analytics \
            services/console deploy/local samples
SOURCES := $(addsuffix /src,$(PACKAGES)) bench tests

# Knobs of `make run`
INPUT ?=
LIMIT ?=
RATE ?= max
EXIT ?=
SUMMARY ?=
# Knob of `make release`
VERSION ?=
# Knob of `make bench` and `make chaos`
JSON ?=
# Knob of `make bench`
ONLY ?=
# Knobs of `make chaos`
SEED ?=
FAULTS ?= 30
KINDS ?=
LOGS ?=
# Knob of `make test` and `make test-servers`: a program that the tests on servers are run by
BY ?=
# Knob of `make images`
TAG ?= dev

.DEFAULT_GOAL := help
.PHONY: help install run down clean test test-fast test-servers check format lint types arch contracts openapi release bench chaos images k8s-test

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## the virtual environment with the library and all services

$(VENV)/.installed: requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..."; exit 2; }
	@echo "environment: installing the locked packages into $(VENV) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "python3 cannot make a virtual environment: install its venv package (Debian: python3-venv)"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  $(addprefix -e ,$(PACKAGES))
	@touch $@

run: install ## the whole system with a real order book (INPUT=, LIMIT=, RATE=, EXIT=1, SUMMARY=)
	@exec $(BIN)/oms-sample run --rate $(RATE) $(if $(INPUT),--input $(INPUT)) $(if $(LIMIT),--limit $(LIMIT)) \
	  $(if $(EXIT),--exit) $(if $(SUMMARY),--summary $(SUMMARY))

down: install ## stop a running system
	@$(BIN)/oms-local down

clean: ## stop the system and remove all that it made
	@test ! -x $(BIN)/oms-local || $(BIN)/oms-local clean
	@rm -rf $(VENV) .cache .run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -o -name '*.egg-info' | xargs rm -rf

# Four at a time, however many processors there are: each waits for broker and database half of its time.
INTEGRATION := $(BIN)/python -m pytest -n 4 --dist loadfile -m "integration and not e2e"
# Two whole systems at a time, however many processors there are: each waits much, and wants 2 GB.
E2E := $(BIN)/python -m pytest -n 2 --dist loadfile -m e2e

test: test-fast test-servers ## every level of tests, on a real broker and database

test-fast: install ## the levels that start no processes of the system
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not e2e and not integration"

test-servers: install ## the levels that need a broker and a database
	@$(BY) $(INTEGRATION)
	@$(BY) $(E2E)

check: lint types arch contracts test ## all that must be green

format: install ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: install
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@{ grep -rlE '^#!.*bash$$' .ci deploy; find services -name '*.sh'; } | xargs $(BIN)/shellcheck --shell=bash

types: install
	@$(BIN)/mypy $(SOURCES)

arch: install
	@$(BIN)/lint-imports

contracts: install ## generated contracts are what the code says, and break nobody who relies on the newest release
	@$(BIN)/oms-events check --out contracts
	@$(BIN)/python -m tests.contract.openapi --check

openapi: install ## write all generated contracts: schemas, AsyncAPI, HTTP APIs, what the gateway shows of them
	@$(BIN)/python -m tests.contract.openapi

release: install ## promise what the contracts say now (VERSION=, see docs/compatibility.md)
	@test -n "$(VERSION)" || { echo "name the version: make release VERSION=1.2.0"; exit 2; }
	@$(BIN)/oms-events release $(VERSION) --out contracts
	@$(BIN)/python -m tests.contract.openapi

bench: install ## measure speed and memory (JSON=path for figures as JSON, ONLY=names of measurements)
	@$(BIN)/python -m bench.run $(if $(JSON),--json $(JSON)) $(if $(ONLY),--only $(ONLY))

chaos: install ## one fault after the other under load, and an audit (SEED=, FAULTS=, LIMIT=, KINDS=, LOGS=, JSON=)
	@exec $(BIN)/python -m tests.chaos --faults $(FAULTS) $(if $(SEED),--seed $(SEED)) $(if $(LIMIT),--limit $(LIMIT)) \
	  $(if $(KINDS),--kinds "$(KINDS)") $(if $(LOGS),--logs $(LOGS)) $(if $(JSON),--json $(JSON))

IMAGE := docker build --quiet -f deploy/Dockerfile --build-arg PIP_INDEX_URL --build-arg VERSION=$(TAG) \
  --build-arg REVISION=$(shell git rev-parse --short HEAD 2>/dev/null)

images: ## the image of every service, and of the sample's player: oms/<service>:TAG (TAG=dev)
	@for service in $(notdir $(wildcard services/*)); do \
	  echo "image: oms/$$service:$(TAG)" && \
	  $(IMAGE) --build-arg SERVICE=$$service --target service --tag oms/$$service:$(TAG) . >/dev/null || exit; done
	@echo "image: oms/sample:$(TAG)" && $(IMAGE) --target sample --tag oms/sample:$(TAG) . >/dev/null

k8s-test: install ## the manifests proved on the cluster of KUBECONFIG (K8S_LOAD=command that takes images, TAG=, LIMIT=, JSON=)
	@exec $(BIN)/python -m tests.k8s --tag $(TAG) $(if $(LIMIT),--limit $(LIMIT)) $(if $(JSON),--json $(JSON))

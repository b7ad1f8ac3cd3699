# Every task of the project: `make help` lists them.
# Needs Python 3.11 or later and make; the first target installs everything else into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first suitable Python under its usual names; `make PYTHON=/path/to/python …` chooses a different one.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
ifndef PYTHON
PYTHON := $(shell for name in $(CANDIDATES); do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
endif

VENV := .venv
BIN := $(VENV)/bin
READY_TO_RUN := $(VENV)/.ready-to-run
READY_TO_WORK := $(VENV)/.ready-to-work

# Keep pip and pyright from looking for newer versions of themselves on the network.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export NO_MKDOCS_2_WARNING := 1

# Some images switch bytecode caches off; without caches, every worker and every test process compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

# `make test TESTS=tests/unit/local OPTIONS=-x` selects tests. Tests that are selected run, acceptance tests too.
TESTS ?=
WORKERS ?= auto
OPTIONS ?=

# What depends on the versions of packages: payloads, telemetry, the service, the server, the debugger.
LOWEST_TESTS := tests/unit/serdes tests/unit/telemetry tests/unit/runtime tests/unit/debugger tests/unit/test_handler.py tests/scenarios tests/tui

LOWEST_PIP = $(BIN)/uv pip install --quiet --python build/lowest/bin/python
LOWEST_TOOLS := pytest-randomly pytest-timeout pytest-xdist pyyaml cfn-lint
# AWS's packages that tests compare with; their own lower bounds are higher, and not ours.
LOWEST_PEERS := aws-durable-execution-sdk-python aws-durable-execution-sdk-python-otel

BESIDE_ENVIRONMENT := RECEIVER_PORT=24318 OTEL_PYTHON_DISTRO=aws_distro OTEL_PYTHON_CONFIGURATOR=aws_configurator \
	OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:24318/v1/traces \
	OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none OTEL_AWS_APPLICATION_SIGNALS_ENABLED=false OTEL_TRACES_SAMPLER=always_on

.PHONY: audit help demo test acceptance coverage mutants check lint types contracts docs prose commits format bench docs-site test-lowest test-beside layer package clean

help: ## show this list
	@echo "make <target>, where <target> is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s%s\n", $$1, $$2 }' Makefile

demo: $(READY_TO_RUN) ## run the order workflow in real time, then open it in the debugger
	@$(BIN)/python examples/demo.py

test: $(READY_TO_WORK) ## run every test but the acceptance tests, in parallel and in random order
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q $(if $(TESTS),,-m "not acceptance") $(OPTIONS) $(TESTS)

acceptance: $(READY_TO_WORK) ## run the tests of what users receive, beside other software, and of whole programs
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m acceptance $(OPTIONS)

coverage: $(READY_TO_WORK) ## run the tests of the parts and the scenarios, and print how much of the code they reach
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q --cov --cov-report=term:skip-covered tests/unit tests/scenarios

mutants: $(READY_TO_WORK) ## change the code in small ways and list the changes that no test notices
	@$(BIN)/python -m tests.mutants $(OPTIONS)

check: lint types contracts docs prose commits acceptance ## lint, format, types, layers, docs, words, commits; then the acceptance tests

lint: $(READY_TO_WORK)
	@echo "· ruff: lint and format"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "Not formatted: run 'make format'." >&2; exit 1; }

types: $(READY_TO_WORK)
	@echo "· mypy: types, strict"
	@$(BIN)/mypy
	@echo "· pyright: types, a second opinion"
	@$(BIN)/pyright

contracts: $(READY_TO_WORK)
	@echo "· import-linter: layers"
	@$(BIN)/lint-imports --no-logo

docs: $(READY_TO_WORK)
	@echo "· docs: links, names and code blocks"
	@$(BIN)/python docs/check.py

prose: $(READY_TO_WORK)
	@echo "· prose: the words of docs, messages and comments"
	@$(BIN)/python docs/prose.py

commits:
	@echo "· commits: subjects"
	@.ci/commit-subjects

audit: $(READY_TO_RUN) ## look up known vulnerabilities of the dependencies, where advisory data can be reached
	@$(BIN)/python -c 'import pip_audit' 2>/dev/null || $(BIN)/python -m pip install --quiet pip-audit
	@$(BIN)/python .ci/audit.py

docs-site: $(READY_TO_RUN) ## build the documentation site into build/site
	@$(BIN)/python -c 'import mkdocs, mkdocstrings' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[docs]'
	@$(BIN)/python -m mkdocs build --quiet
	@$(BIN)/python docs/check_site.py

test-lowest: $(READY_TO_RUN) ## run the tests that touch dependencies, with the lowest versions that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	@$(LOWEST_PIP) --resolution lowest-direct --editable '.[debugger,otlp,server,testing]'
	@$(BIN)/uv pip freeze --exclude-editable --python build/lowest/bin/python > build/lowest/constraints.txt
	@$(LOWEST_PIP) --constraint build/lowest/constraints.txt $(LOWEST_TOOLS)
	@$(LOWEST_PIP) --no-deps $(LOWEST_PEERS)
	@build/lowest/bin/python -m pytest -n $(WORKERS) -q -p no:anyio -p no:cacheprovider $(OPTIONS) $(or $(TESTS),$(LOWEST_TESTS))

test-beside: $(READY_TO_RUN) ## install the wheel beside ADOT, Powertools and aiobotocore, and run a handler that uses all of them
	@$(BIN)/python -m pip install --quiet uv
	@rm -rf build/wheel && $(BIN)/uv build --quiet --wheel --out-dir build/wheel
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/beside
	@$(BIN)/uv pip install --quiet --python build/beside/bin/python build/wheel/*.whl aws-opentelemetry-distro aws-lambda-powertools aiobotocore
	@env PATH="$(CURDIR)/build/beside/bin:$$PATH" $(BESIDE_ENVIRONMENT) opentelemetry-instrument python tests/interop/beside_adot.py

layer: $(READY_TO_RUN) ## build the Lambda layer, with and without boto3, and print the sizes
	@$(BIN)/python examples/deploy/build.py layer

package: $(READY_TO_RUN) ## build the package of examples/deploy for Lambda
	@$(BIN)/python examples/deploy/build.py package

format: $(READY_TO_WORK) ## format, and apply ruff's automatic fixes
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

bench: $(READY_TO_WORK) ## compare with AWS's SDK and print the ratios
	@$(BIN)/python -m tests.benchmarks

clean: ## delete the virtual environment, the caches and the local executions
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .durable build dist

# The demo needs few packages, so it does not wait for the checkers. Built once, and again when the dependencies change.
$(READY_TO_RUN): pyproject.toml
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		echo "No Python 3.11 or later under $(if $(PYTHON),the name $(PYTHON),the names $(CANDIDATES))." >&2; \
		echo "Install one, or give its path: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi
	@if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		rm -rf $(VENV); echo "Creating $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
			echo "This Python cannot create environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
	@echo "Installing the project into $(VENV)"
	@$(BIN)/python -m pip install --quiet --quiet --editable '.[debugger,otlp,server]'
	@touch $@

$(READY_TO_WORK): $(READY_TO_RUN)
	@echo "Installing the tests' and checks' tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --quiet --editable '.[dev]'
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null 2>&1 || true   # compile once, not in every worker at the same time
	@touch $@

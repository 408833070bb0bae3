# The one entry point, for people and for CI. `make help` lists the targets.
SHELL := /bin/bash
BIN := .venv/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full test-vm lint docs bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make test PYTEST_ARGS='tests/unit -x'    run some of the tests"
	@echo "  make setup PYTHON=/usr/bin/python3.12    choose the interpreter"

setup:  ## Install all that is missing: Debian packages and .venv (quick when all is there)
	@scripts/setup test

demo: root-demo  ## Bring a cluster up, walk through it with kubectl, take it down (needs root)
	@scripts/setup run
	@$(BIN)/python -m workbench.demo

test: root-test  ## Run every test (needs root)
	@scripts/setup test
	@$(BIN)/pytest $(PYTEST_ARGS)

test-full: root-test-full lint  ## Lint, then every test, also those that take minutes (needs root)
	@$(BIN)/pytest -m '' $(PYTEST_ARGS)

test-vm: root-test-vm  ## Test what needs netem, and vagrant/provision.sh, in a virtual machine (needs root)
	@scripts/test-vm

lint:  ## Format, lint, types, imports and shell scripts: check, change nothing
	@scripts/setup test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	shellcheck scripts/setup scripts/test-vm .ci/run vagrant/provision.sh controlplane/node/standin/*.sh

docs:  ## Write the pages of docs/ that are generated
	@scripts/setup test
	@$(BIN)/python -m workbench.conformity

bench: root-bench  ## Measure, each figure beside its reference (needs root)
	@scripts/setup test
	@$(BIN)/python -m bench

clean:  ## Remove .venv, caches and build leftovers; clusters stay (netsim down removes those)
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage netsim.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

root-%:
	@if [[ $$(id -u) -ne 0 ]]; then echo "make $*: needs root; run it as: sudo make $*" >&2; exit 1; fi

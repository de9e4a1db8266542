# Every target sets up what it needs first; `make setup` again does nothing when nothing changed.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Certifications at once in tests. One takes up to 0.8 of a slow core; with more than the cores carry, verdicts are the machine's.
AT_ONCE ?= $(shell nproc)

.PHONY: setup programs browser certify certify-kind test test-containers test-kind test-kind-all check e2e test-torch bench gpu sample clean

setup: programs .venv/.complete

programs:
	@scripts/install-programs

# Only the tests of the HTML report need one.
browser:
	@scripts/install-programs browser

.venv/.complete: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) is not on PATH; name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: need Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V); name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "setup: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m compileall -q harness
	@touch $@

# The main job: stands the shipped stack up, breaks it, says what was proved.
certify: setup
	@$(BIN)/harness certify

# The same in a kind cluster. Without a registry: make certify-kind HARNESS_IMAGES=offline KIND_NODE_IMAGE=…
certify-kind: setup
	@$(BIN)/harness certify --environment kind

# The tests that need Docker: Prometheus and Alertmanager as containers of three Debian releases.
test-containers: setup
	$(BIN)/pytest -q -m containers --numprocesses $(AT_ONCE) --dist loadgroup

# The tests that need a kind cluster: docker, kind and kubectl have to be there, and debian:bookworm-slim.
test-kind: setup
	$(BIN)/pytest -q -m 'cluster and not long' -p no:randomly

# Those too that take minutes each: every experiment and every sabotaged twin in the cluster.
test-kind-all: setup
	$(BIN)/pytest -q -m cluster -p no:randomly

# All tests: style and types, unit tests, and those with real servers.
test: check e2e

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m 'not e2e and not cluster' --numprocesses 2

e2e: setup browser
	$(BIN)/pytest -q -m alone -p no:randomly
	$(BIN)/pytest -q -m 'e2e and not containers and not alone' --numprocesses $(AT_ONCE) --dist loadgroup

# What the harness promises in figures, each with the ratio to its bound.
bench: setup
	@$(BIN)/python -m benchmarks

# What only a machine with a GPU can prove; without one it says so.
gpu: setup
	@$(BIN)/python -m benchmarks.gpu

# Writes the report in reports/sample anew, from a run of three experiments.
sample: setup
	@rm -rf build/sample
	@$(BIN)/harness certify --seed 1 --report build/sample \
		--experiments experiments/gpu-overheats.yaml --experiments experiments/model-volume-full.yaml \
		--experiments experiments/gpu-warm.yaml
	@mkdir -p reports/sample && cp build/sample/report.html build/sample/result.json reports/sample/

# The torch backend, in an environment of its own: torch is optional and large.
test-torch:
	@test -d .venv-torch || $(PYTHON) -m venv .venv-torch
	.venv-torch/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-torch/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	.venv-torch/bin/pytest -q -o norecursedirs= tests/torch_backend

clean:
	rm -rf build .venv .venv-torch .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

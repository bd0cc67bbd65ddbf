# Every target makes its own virtual environment and needs only Python (3.11 or newer), pip and a package index.
#   PYTHON=python3.12   the interpreter to make it with
#   VENV=.venv          where it goes
#   TESTERS=4           so many processes run the tests; 0 for one that a debugger can enter
#   MINUTES=10          how long `soak-mesh` goes on
#   ARGS="..."          further arguments for the command behind a target

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
TESTERS ?= 4
ARGS ?=
MINUTES ?= 10

BIN := $(VENV)/bin
PY := $(BIN)/python
# each process begins with what is long (`tests/order.py`), and who is done takes from those who are not
TEST := $(PY) -m pytest -q -n $(TESTERS) --dist worksteal
PIP := $(PY) -m pip --quiet --disable-pip-version-check
RUN_READY := $(VENV)/.taskmesh-run-ready
DEV_READY := $(VENV)/.taskmesh-dev-ready
DOCS_READY := $(VENV)/.taskmesh-docs-ready
# What is neither a package nor a test is checked only where it exists.
CHECKED := $(wildcard taskmesh tests benchmarks examples workers docs .ci)

.PHONY: help demo test test-fast pains chaos soak soak-mesh check docs bench bench-peers clean

help: ## list the targets
	@printf 'usage: make TARGET [PYTHON=python3.12] [VENV=.venv] [ARGS="..."]\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(RUN_READY) ## the main job on real files, nothing configured (ARGS="--path DIR --workers N")
	@$(BIN)/taskmesh demo $(ARGS)

test: $(DEV_READY) ## every test, in random order
	@$(TEST) $(ARGS)

test-fast: $(DEV_READY) ## the tests which are not marked slow
	@$(TEST) -m "not slow" $(ARGS)

pains: $(DEV_READY) ## what users of other queues complain of, at full scale (an hour or more)
	@TASKMESH_TEST_PAINS=1 $(PY) -m pytest -q -o faulthandler_timeout=7200 tests/pains $(ARGS)

chaos: $(DEV_READY) ## a thousand kills, 20 faults of a mesh of nodes, the ledger checked, and what `make test` does a share of (ARGS="--kills 1000 --mesh 20 --scenes 1 --seed N" or "--leaders 200")
	@$(PY) -m tests.faults $(ARGS)

soak: $(DEV_READY) ## many seeds of the simulation (ARGS="--seeds N --from M --history NAME", or "--replay NAME SEED")
	@$(PY) -m tests.simulation.soak $(ARGS)

soak-mesh: $(DEV_READY) ## everybody of a mesh of 5 nodes killed, stopped, emptied for MINUTES=10 (ARGS="--nodes 3 --workers 3 --seed N")
	@$(PY) -m tests.faults.mesh_soak --minutes $(MINUTES) $(ARGS)

check: $(DEV_READY) ## style, types, layers
	@$(BIN)/ruff check --quiet $(CHECKED)
	@$(BIN)/ruff format --check --quiet $(CHECKED) || { \
	    echo "make: not formatted as 'ruff format' would; run: $(BIN)/ruff format $(CHECKED)" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(PY) -m pytest -q -p no:randomly tests/typing

docs: $(DOCS_READY) ## the site, in site/index.html; a broken link or reference is an error
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs site
	@echo "made site/index.html"

bench: $(RUN_READY) ## measure every row of the budget on this machine
	@$(PY) -m benchmarks $(ARGS)

bench-peers: $(RUN_READY) ## TaskMesh beside Celery, Dramatiq, Huey, Taskiq, RQ, arq, SAQ and taskito
	@$(PY) -m benchmarks.peers $(ARGS)

clean: ## remove the environment and everything that was made here
	@rm -rf "$(VENV)" build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "make: no '$(PYTHON)' on the PATH; install Python 3.11 or newer, or give PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); TaskMesh needs 3.11 or newer: PYTHON=python3.12 make ..." >&2; exit 1; }
	@echo "making $(VENV)" >&2
	@"$(PYTHON)" -m venv "$(VENV)" || { \
	    echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    rm -rf "$(VENV)"; exit 1; }

$(RUN_READY): pyproject.toml | $(PY)
	@echo "installing TaskMesh into $(VENV)" >&2
	@$(PIP) install --editable .
	@touch $@

$(DEV_READY): pyproject.toml | $(PY)
	@echo "installing TaskMesh and its tools into $(VENV)" >&2
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(RUN_READY)

$(DOCS_READY): pyproject.toml | $(PY)
	@echo "installing TaskMesh and what builds its site into $(VENV)" >&2
	@$(PIP) install --editable '.[docs]'
	@touch $@ $(RUN_READY)

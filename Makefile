# Everything that one does with this project. `make up` is all that a user needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

export DIGITS_MODELS ?= models
export NO_PROXY := 127.0.0.1,localhost,$(NO_PROXY)
export BENCH_DIR ?= .bench
SOURCES := digits service trainer clients benchmarks evaluation notebooks docs tests .ci
PEERS := digits bento litserve mlserver mosec pytriton ray tf

.DEFAULT_GOAL := help
.PHONY: help up install train test check fix browser pythons oldest bench bench-peers evaluate lock

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 13

up: $(firstword $(wildcard $(VENV)/dev $(VENV)/run) $(VENV)/up)  ## install, and serve what is published, or else the model that comes with the project
	exec $(BIN)/python -m service

install: $(VENV)/dev  ## make the .venv that all targets use, 3.5 GB with TensorFlow

train: $(firstword $(wildcard $(VENV)/dev) $(VENV)/run)  ## train and publish a model; ARGS="--epochs 3" adds flags
	exec $(BIN)/python -m trainer --output "$(DIGITS_MODELS)" $(ARGS)

test: $(VENV)/dev  ## run the tests; ARGS="-k batcher" picks some
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev  ## format, lint and types, changing nothing
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

fix: $(VENV)/dev  ## format, and mend what the linter can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

browser: $(VENV)/browser  ## try all of /docs in Chromium, at the root and behind a prefix; needs chromium and chromium-driver
	$(BIN)/python -m tests.browser

pythons: $(VENV)/dev  ## run the client's tests, from its wheel, under each Python that it names and PATH has
	$(BIN)/python -m tests.pythons

oldest: $(VENV)/dev  ## run the tests with the oldest versions that pyproject.toml allows; ARGS="-k batcher" picks some
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .oldest
	$(BIN)/uv pip install --quiet --python .oldest --resolution lowest-direct \
	    --editable '.[dev]' --editable 'clients[completion]'
	.oldest/bin/python -m pytest $(ARGS)

bench: $(VENV)/dev $(BENCH_DIR)/digits/.made  ## measure the service beside bare ASGI and ONNX Runtime; needs wrk
	$(BIN)/python -m benchmarks run $(ARGS)

bench-peers: $(VENV)/dev $(PEERS:%=$(BENCH_DIR)/%/.made)  ## measure it beside other model servers; needs wrk
	$(BIN)/python -m benchmarks run --peers all $(ARGS)

evaluate: $(VENV)/dev  ## ask the running service about labelled images; ARGS="set.zip --sheet wrong.png"
	$(BIN)/python -m evaluation sets $(ARGS)

lock: $(VENV)/dev  ## pin the newest versions that pyproject.toml allows, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-emit-package digits \
	    pyproject.toml clients/pyproject.toml --output-file constraints.txt

# Requirements come first and are checked against the hashes of constraints.txt; see .ci/requirements.py.
$(VENV)/up: EXTRAS := client service build
$(VENV)/run: EXTRAS := client service trainer build
$(VENV)/dev: EXTRAS := client dev
$(VENV)/browser: EXTRAS := client service browser build
# The newest Python for which there are wheels of all this: ONNX Runtime sets the one bound, TensorFlow the other.
$(VENV)/up $(VENV)/browser: NEWEST := 14
$(VENV)/run $(VENV)/dev: NEWEST := 13
$(VENV)/up $(VENV)/run $(VENV)/dev $(VENV)/browser: pyproject.toml clients/pyproject.toml constraints.txt
	@$(firstword $(wildcard $(BIN)/python) $(PYTHON)) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(NEWEST)) and \
	    "this needs Python 3.11 to 3.$(NEWEST); name one, after deleting a $(VENV) of another: make PYTHON=python3.12")'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/requirements.py installer > $(VENV)/requirements.txt
	$(PIP) --requirement $(VENV)/requirements.txt
	$(BIN)/python .ci/requirements.py $(EXTRAS) > $(VENV)/requirements.txt
	$(PIP) --constraint constraints.txt --requirement $(VENV)/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable . --editable clients
	touch $@

# Whatever is measured has an environment of its own, which holds what it needs and nothing else.
$(BENCH_DIR)/digits/.made: pyproject.toml constraints.txt | $(VENV)/dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/python .ci/requirements.py service > $(@D)/requirements.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(@D) --constraint constraints.txt \
	    --requirement $(@D)/requirements.txt
	touch $@

# Triton links against the system's libpython3.11.
$(BENCH_DIR)/pytriton/.made: BENCH_PYTHON := /usr/bin/python3.11
$(BENCH_DIR)/%/.made: BENCH_PYTHON := $(BIN)/python
$(BENCH_DIR)/%/.made: benchmarks/environments/%.txt | $(VENV)/dev
	$(BIN)/uv venv --quiet --clear --python $(BENCH_PYTHON) $(@D)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(@D) --requirement $<
	touch $@

# Every target sets up what it needs: a fresh machine with Python 3.11+ and make
# can start at any line.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SWEEP_DIR ?= sweeps/digits

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help test test-optimizer test-lab test-jax test-torch test-fast smoke sweep \
	tensorboard lint clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamp is newer than the files that decide what is installed.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

# A process keeps every program that XLA has compiled in it, until it can map no more
# memory: the tests are shared by several processes, in three runs, a file in one process.
# A process that crashes ends its run, as a failure of the test that it was at.
TEST_PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
	--no-loadscope-reorder --max-worker-restart 0
OPTIMIZER_TESTS := tests/keras_adam

test: test-optimizer test-lab test-jax  ## run every test under TensorFlow, and the optimizer's under JAX

test-optimizer: $(VENV)/installed  ## run the optimizer's tests under TensorFlow
	$(PYTEST) $(OPTIMIZER_TESTS)

test-lab: $(VENV)/installed  ## run all other tests: the lab's, the benchmarks', the examples'
	$(PYTEST) --ignore $(OPTIMIZER_TESTS)

test-jax: $(VENV)/installed  ## run the optimizer's tests under JAX
	KERAS_BACKEND=jax $(PYTEST) $(OPTIMIZER_TESTS)

test-torch: $(VENV)/installed  ## run the optimizer's tests under torch, if it is installed
	KERAS_BACKEND=torch $(PYTEST) $(OPTIMIZER_TESTS)

smoke: $(VENV)/installed  ## run every benchmark with as little work as possible
	$(PYTEST) --dist load -m smoke tests/benchmarks

test-fast: $(VENV)/installed  ## run the tests that are not marked slow, under TensorFlow
	$(PYTEST) -m 'not slow'

sweep: $(VENV)/installed  ## sweep seven optimizers on handwritten digits and write the report
	$(BIN)/keras-adam-sweep run digits --out $(SWEEP_DIR)

tensorboard: $(VENV)/installed  ## look at the sweep in TensorBoard
	$(BIN)/keras-adam-sweep tensorboard $(SWEEP_DIR)

lint: $(VENV)/installed  ## style, architecture and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --pythonpath $(BIN)/python

clean:  ## remove the virtual environment and caches; sweeps stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis

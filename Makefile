# Every target sets up what it needs: a fresh machine with Python 3.11+ and make
# can start at any line.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SWEEP_DIR ?= sweeps/digits

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help test test-fast test-torch sweep tensorboard lint bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamp is newer than the files that decide what is installed.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

# What does not depend on TensorFlow, for the other backends.
CORE_TESTS := tests/test_adam.py tests/test_update_rule.py tests/test_step_control.py \
	tests/test_precision.py tests/test_keras_defects.py tests/test_checkpoints.py \
	tests/test_keras_features.py tests/test_keras_hooks.py tests/test_keras_suite.py \
	tests/test_moment_storage.py tests/test_rounding_noise.py \
	tests/test_storage_training.py tests/test_telemetry.py tests/test_telemetry_probe.py \
	tests/test_xla_fusion.py tests/test_rate_control.py tests/test_controlled_rate.py \
	tests/test_spike_guard.py tests/test_gradient_sample.py tests/test_batch_scaling.py \
	tests/test_large_weights.py tests/test_weight_kinds.py tests/test_debugging_tools.py \
	tests/test_state_laws.py tests/test_option_values.py tests/test_adamw.py \
	tests/test_changed_weights.py tests/test_telemetry_runs.py

test: $(VENV)/installed  ## run every test under TensorFlow, and the core under JAX
	$(BIN)/python -m pytest
	KERAS_BACKEND=jax $(BIN)/python -m pytest $(CORE_TESTS)

test-fast: $(VENV)/installed  ## run the tests that are not marked slow
	$(BIN)/python -m pytest -m 'not slow'

test-torch: $(VENV)/installed  ## run the core under torch, if it is installed
	KERAS_BACKEND=torch $(BIN)/python -m pytest $(CORE_TESTS)

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

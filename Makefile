# Each target does all the set-up it needs, in .venv, and nothing of it twice. PYTHON=… picks the interpreter.
BIN := .venv/bin
NUMPY_1 := $(CURDIR)/.venv/numpy1
# Of the unit tests: what takes longer runs with make test.
WHICH := not slow

# A ROS that was sourced must not mix with the one in .venv.
ifdef AMENT_PREFIX_PATH
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH RMW_IMPLEMENTATION
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test check mutation bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv: ROS 2 and all else as wheels, the messages, the project; WITH=training adds PyTorch
	@WITH=$(WITH) tools/setup

demo: setup ## run the real nodes on a recording and report; DRIVE=folder runs a real drive
	@$(BIN)/perception-platform demo $(if $(DRIVE),--drive "$(DRIVE)")

test: setup ## run all tests; ARGS="-k gate" picks some
	@$(BIN)/python -m pytest $(ARGS)
ifndef ARGS
	@$(MAKE) --no-print-directory unit-numpy1 WHICH=slow
endif

check: setup ## lint, types, layers, every branch of the gate, unit tests under numpy 2 and 1.26; one to two minutes
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target unit-numpy2 unit-numpy1 lint gate-branches

.PHONY: lint gate-branches unit-numpy2 unit-numpy1
lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/mypy tools/*.py

# The gate's own tests alone have to go through every branch of it.
gate-branches:
	$(BIN)/python -m pytest -q test/unit/safety --hypothesis-profile brief --cov=perception_platform.safety --cov-branch \
	    --cov-report=term-missing:skip-covered --cov-fail-under=100

unit-numpy2:
	$(BIN)/python -m pytest -q test/unit --numpy 2 --hypothesis-profile brief -m "$(WHICH)"

# Compiled loops must not be shared between two numpys, hence a cache of its own.
unit-numpy1:
ifneq ($(wildcard $(NUMPY_1)),)
	PYTHONPATH=$(NUMPY_1) NUMBA_CACHE_DIR=$(CURDIR)/.venv/numba-numpy1 \
	    $(BIN)/python -m pytest -q -p no:cacheprovider test/unit --numpy 1.26 --hypothesis-profile brief -m "$(WHICH)"
else
	@echo "unit tests under numpy 1.26 left out: it has no wheel for this Python"
endif

mutation: setup ## change the gate and the measures in small ways: how many changes their tests notice; goes on where it was stopped
	@$(BIN)/python tools/mutation.py --least 95 $(ARGS)

bench: setup ## measure; ARGS="latency --json out.json" picks what
	@$(BIN)/perception-platform bench $(or $(ARGS),--help)

clean: ## remove all that make and colcon made, .venv too
	rm -rf .venv build install log run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf perception_platform.egg-info

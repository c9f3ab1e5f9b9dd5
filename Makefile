# One command each. A machine with python3 (3.11 or later), git and make has all it needs; everything else is installed
# into .venv (and .venv-bench) here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test test-full test-fusion lint format bench bench-smoke oracle interrupts clean

help:
	@echo "make run          a guided tour of the package"
	@echo "make test         the test suite (about 10 minutes on 2 cores); WORKERS=n for more processes"
	@echo "make test-full    the same with every sample"
	@echo "make interrupts   an exception at every place at which a signal's handler may raise, and signals for SECONDS=60"
	@echo "make test-fusion  2,000 random programs compiled with both fusion plans"
	@echo "make lint         formatting, lint, types, import contracts"
	@echo "make format       format the code"
	@echo "make oracle       compare with JAX, which is installed beside the benchmarks"
	@echo "make bench        measure against JAX, PyTorch and Autograd; writes benchmarks/RESULTS.md"
	@echo "make bench-smoke  run every benchmark once"

# The environments are made once, and again when what they are made from changes.
$(VENV)/.made: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-bench/.made: benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-bench
	$(BENCH)/python -m pip install --quiet -r benchmarks/requirements.txt
	$(BENCH)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: $(VENV)/.made
	$(BIN)/python -m pullback.tour

test: $(VENV)/.made
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-full: $(VENV)/.made
	PULLBACK_TEST_SAMPLE=full $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

SECONDS ?= 60
interrupts: $(VENV)/.made
	$(BIN)/python -m tests.interrupts $(SECONDS)

test-fusion: $(VENV)/.made
	$(BIN)/python -m tests.properties.fusion_programs 0 2000

lint: $(VENV)/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.made
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

oracle: .venv-bench/.made
	$(BENCH)/python -m pytest -q tests/oracle -n $(WORKERS) --dist worksteal

bench: .venv-bench/.made
	$(BENCH)/python -m benchmarks.run
	$(BENCH)/python -m benchmarks.compiled
	$(BENCH)/python -m benchmarks.loops

bench-smoke: .venv-bench/.made
	$(BENCH)/python -m benchmarks.run --smoke
	$(BENCH)/python -m benchmarks.compiled --smoke
	$(BENCH)/python -m benchmarks.loops --smoke

clean:
	rm -rf $(VENV) .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

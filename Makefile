# One command each. A machine with python3 (3.11 or later), git and make has all it needs; everything else is installed
# into .venv (and .venv-bench) here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench/bin
WORKERS ?= 2
# What test, test-oldest and test-newest run, if not everything: files, folders and options of pytest's.
TESTS ?=

# What is installed for single targets, beside the development environment.
EXTRA := .extra

# A checkout of https://github.com/data-apis/array-api-tests, with its submodule (git submodule update --init).
ARRAY_API_TESTS ?=

DOCS := .venv-docs
OLDEST := .venv-oldest
NEWEST := .venv-newest-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PYTEST := -m pytest -q -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run test test-full test-oldest test-newest test-notebook types test-fusion test-constants test-elsewhere test-symbolic docs docs-check examples interrupts forks lint format bench bench-smoke oracle api-coverage array-api accuracy accuracy-references clean

help:
	@echo "make run          a guided tour of the package"
	@echo "make test         the test suite (about 10 minutes on 2 cores); WORKERS=n for more processes, TESTS=... for a part"
	@echo "make test-full    the same with every sample"
	@echo "make test-notebook  cells in a real notebook, and what it shows"
	@echo "make types        the program of a user's kind in pyright's strict mode, and in mypy's (needs node)"
	@echo "make docs         the site, in build/site: every cell of it is run (4 minutes; what has not changed is kept); GALLERY=full"
	@echo "make docs-check   look at every page of it in headless Chromium"
	@echo "make examples     the programs of the gallery, in small sizes; EXAMPLES='kepler' some of them"
	@echo "make interrupts   an exception at every place at which a signal's handler may raise, and signals for SECONDS=60"
	@echo "make test-fusion  2,000 random programs compiled with both fusion plans"
	@echo "make test-oldest  the same with the oldest versions that pyproject.toml allows, on Python 3.11"
	@echo "make test-newest  the same with the newest; PYTHON=python3.14 for another Python (see tools/newer-python.sh)"
	@echo "make forks        forks while other threads run, compile and import, for SECONDS=60"
	@echo "make test-constants  every primitive on constants of programs, each in a process of its own (an hour)"
	@echo "make test-elsewhere  every primitive, its derivatives and its vmap on a second device (20 minutes)"
	@echo "make test-symbolic  every primitive, mapped over a symbolic number of elements and exported (20 minutes)"
	@echo "make lint         formatting, lint, types, import contracts"
	@echo "make format       format the code"
	@echo "make api-coverage  how much of JAX's public API there is, module by module"
	@echo "make array-api    the array API standard's own suite: ARRAY_API_TESTS=path of a checkout of it"
	@echo "make oracle       compare with JAX, which is installed beside the benchmarks"
	@echo "make accuracy     errors of special functions and distributions; writes docs/accuracy.md"
	@echo "make accuracy-references  mpmath's values for that, where they are missing"
	@echo "make bench        measure against JAX, PyTorch and Autograd; writes benchmarks/RESULTS.md"
	@echo "make bench-smoke  run every benchmark once"

# The environments are made once, and again when what they are made from changes.
$(VENV)/.made: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(EXTRA)/.made: requirements/extra.txt $(VENV)/.made
	rm -rf $(EXTRA)
	$(BIN)/python -m pip install --quiet --no-deps --target $(EXTRA) -r requirements/extra.txt
	@touch $@

$(DOCS)/.made: requirements/dev.txt requirements/docs.txt pyproject.toml
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --no-deps -r requirements/dev.txt -r requirements/docs.txt
	$(DOCS)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(OLDEST)/.made: requirements/oldest.txt pyproject.toml
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --no-deps -r requirements/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(NEWEST)/.made: pyproject.toml
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[test]'
	@touch $@

.venv-bench/.made: benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-bench
	$(BENCH)/python -m pip install --quiet -r benchmarks/requirements.txt
	$(BENCH)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: $(VENV)/.made
	$(BIN)/python -m pullback.tour

test: $(VENV)/.made
	$(BIN)/python $(PYTEST) $(TESTS)

test-full: $(VENV)/.made
	PULLBACK_TEST_SAMPLE=full $(BIN)/python $(PYTEST) $(TESTS)

test-notebook: $(EXTRA)/.made
	PYTHONPATH=$(CURDIR)/$(EXTRA) $(BIN)/python -m pytest -q tests/notebook

types: $(EXTRA)/.made
	PYTHONPATH=$(CURDIR)/$(EXTRA) $(BIN)/python -m pytest -q tests/types/test_user_program.py

test-oldest: $(OLDEST)/.made
	$(OLDEST)/bin/python $(PYTEST) $(TESTS)

test-newest: $(NEWEST)/.made
	$(NEWEST)/bin/python $(PYTEST) $(TESTS)

# Warnings are errors. What cells and examples gave is kept in build/ as long as what made it does not change.
# GALLERY=full runs the gallery's programs in their full sizes, which takes some minutes longer.
GALLERY ?= small
docs: $(DOCS)/.made
	GALLERY=$(GALLERY) $(DOCS)/bin/python -m sphinx -W --keep-going -q -j auto -b html -d build/doctrees docs build/site

SCREENSHOTS ?= build/screenshots
docs-check: docs
	$(DOCS)/bin/python tools/docs_check.py build/site --screenshots $(SCREENSHOTS)

EXAMPLES ?= --all
examples: $(DOCS)/.made
	$(DOCS)/bin/python -m examples $(EXAMPLES) --smoke

SECONDS ?= 60
interrupts: $(VENV)/.made
	$(BIN)/python -m tests.interrupts $(SECONDS)

test-fusion: $(VENV)/.made
	$(BIN)/python -m tests.properties.fusion_programs 0 2000

forks: $(VENV)/.made
	$(BIN)/python -m tests.forks $(SECONDS)

# What XLA computes while it compiles, in a process for each row: some of it could end the process.
test-constants: $(VENV)/.made
	PULLBACK_TEST_SAMPLE=full $(BIN)/python -m tests.conformance constants --apart

test-elsewhere: $(VENV)/.made
	PULLBACK_TEST_SAMPLE=full $(BIN)/python -m tests.conformance elsewhere

test-symbolic: $(VENV)/.made
	PULLBACK_TEST_SAMPLE=full $(BIN)/python -m tests.conformance symbolic

lint: $(VENV)/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.made
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

api-coverage: $(VENV)/.made
	$(BIN)/python tools/api_coverage.py

# The suite comes in no package: it is run from a checkout, in an environment that has what it asks for. What it tests and
# is meant to be otherwise is listed in tests/numpy/array_api_xfails.txt.
.venv-array-api/.made: pyproject.toml
	$(PYTHON) -m venv --clear .venv-array-api
	.venv-array-api/bin/python -m pip install --quiet --editable '.[test]' -r "$(ARRAY_API_TESTS)/requirements.txt"
	@touch $@

array-api:
	@test -d "$(ARRAY_API_TESTS)/array_api_tests" || { echo "make array-api ARRAY_API_TESTS=path of a checkout of array-api-tests"; exit 2; }
	$(MAKE) .venv-array-api/.made ARRAY_API_TESTS="$(abspath $(ARRAY_API_TESTS))"
	cd "$(ARRAY_API_TESTS)" && ARRAY_API_TESTS_MODULE=pullback.numpy ARRAY_API_TESTS_VERSION=2024.12 PULLBACK_ENABLE_X64=1 \
		"$(CURDIR)/.venv-array-api/bin/python" -m pytest -q array_api_tests --max-examples 100 --disable-deadline \
		--xfails-file "$(CURDIR)/tests/numpy/array_api_xfails.txt"

oracle: .venv-bench/.made
	$(BENCH)/python $(PYTEST) tests/oracle

accuracy: .venv-bench/.made
	$(BENCH)/python -m tests.accuracy

accuracy-references: $(VENV)/.made
	$(BIN)/python -m tests.accuracy.references

bench: .venv-bench/.made
	$(BENCH)/python -m benchmarks.run
	$(BENCH)/python -m benchmarks.compiled
	$(BENCH)/python -m benchmarks.loops
	$(BENCH)/python -m benchmarks.numpy_calls
	$(BENCH)/python -m benchmarks.library
	$(BENCH)/python -m benchmarks.sparse
	$(BENCH)/python -m benchmarks.elimination
	$(BENCH)/python -m benchmarks.laplacian
	$(BENCH)/python -m benchmarks.taylor

bench-smoke: .venv-bench/.made
	$(BENCH)/python -m benchmarks.run --smoke
	$(BENCH)/python -m benchmarks.compiled --smoke
	$(BENCH)/python -m benchmarks.loops --smoke
	$(BENCH)/python -m benchmarks.numpy_calls --smoke
	$(BENCH)/python -m benchmarks.library --smoke
	$(BENCH)/python -m benchmarks.sparse --smoke
	$(BENCH)/python -m benchmarks.elimination --smoke
	$(BENCH)/python -m benchmarks.laplacian --smoke
	$(BENCH)/python -m benchmarks.taylor --smoke

clean:
	rm -rf $(VENV) $(EXTRA) $(DOCS) .venv-bench $(OLDEST) .venv-newest-* .venv-array-api build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Every target sets up what it needs, so one command is enough:
#   make demo    install, then run the whole pipeline on the bundled recordings
#   make test    install, then run the test suite, one process a core with one thread each
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= demo-report
# Threads of torch that wait sleep instead of spinning: on a machine that others use too, spinning
# made small networks ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-oldest coverage lint docs bench dist clean

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/skstrf demo -o $(OUT)

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-oldest:
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt ".[test]"
	OMP_NUM_THREADS=1 $(VENV)-oldest/bin/python -m pytest -m "not slow" -n auto --dist worksteal

coverage: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=95

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/compare.py

dist: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) $(VENV)-oldest dist docs/_build docs/auto_examples docs/generated demo-report

# Everything a user or contributor needs; `make` or `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow coverage check format benchmark clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

demo: $(VENV)/.ready  ## set up, run the quickstart scenario, print its table and report
	$(BIN)/fedfm-sim run quickstart --out runs/quickstart

test: $(VENV)/.ready  ## set up and run the test suite on all cores, four at most (minutes)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.ready  ## the tests that take minutes: several seeds, all notebooks
	$(BIN)/pytest -m slow

coverage: $(VENV)/.ready  ## lines that the suite runs; those it does not are listed
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --cov=fedfm_sim --cov-report=term-missing:skip-covered

check: $(VENV)/.ready  ## lint, format, types and layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_layering.py

format: $(VENV)/.ready  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.ready  ## trainer against the plain peft loop; figures of scenarios and games
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/federation.py
	$(BIN)/python benchmarks/games.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Many tests start a process, which need not compile every module anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test long-test bench clean

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/.ready
	$(BIN)/netwright train digits
	$(BIN)/netwright evaluate latest
	$(BIN)/netwright report latest
	$(BIN)/netwright doctor --repair examples/broken_digits.py
	$(BIN)/netwright report latest

test: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not long"

long-test: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long -n 2

bench: .venv/.ready
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/recipes.py

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache

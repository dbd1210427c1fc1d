# `make demo` and `make test` do all the set-up on a fresh machine; running them again is cheap.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONHASHSEED ?= 0

.PHONY: demo test slow check bench clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/mhdiff demo --out runs/demo

# two at once, each of one thread (tests/__init__.py), and neighbours together, which share what was trained for them
test: $(STAMP)
	$(BIN)/python -m pytest -m 'not slow' -n 2 --dist worksteal $(ARGS)

# what is marked slow, and every search of Hypothesis with all its examples, of which `make test` tries a quarter
slow: export MHDIFF_FUZZ ?= 2000
slow: $(STAMP)
	$(BIN)/python -m pytest -m 'slow or hypothesis' -n 2 --maxschedchunk 1 $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

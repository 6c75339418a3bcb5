# make setup   .venv with ns2 (editable) and all tools for development
# make check   ruff, mypy and import-linter
# make test    the checks, then all tests
# make demo    a corpus, a dataset, a model, and its speech in build/demo
# make clean   remove what builds and tools leave behind; .venv stays
# Each of them makes .venv first, where it is missing.

VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
# the first Python on this machine that ns2 runs on; PYTHON=... chooses another
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)

.PHONY: setup test check demo clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "ns2 needs Python 3.11 or 3.12; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@
	@echo "ns2 is installed in $(VENV). To use it: . $(VENV)/bin/activate"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

demo: setup
	$(BIN)/ns2 demo $(DEMO)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

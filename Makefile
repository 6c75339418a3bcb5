# make test    set up .venv, then all tests and checks
# make demo    set up .venv, then: a corpus, a dataset, a model, its speech

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

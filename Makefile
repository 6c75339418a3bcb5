# make test    set up .venv, then all tests and checks
# make demo    set up .venv, then speak a small corpus and preprocess it

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
	$(BIN)/python -m ns2.pipeline.speak $(DEMO)/corpus --utterances 40 --seed 0
	@echo
	@echo "The codec is mini, which comes with ns2: what it makes of a sentence, to hear."
	$(BIN)/ns2 codec copy $(DEMO)/corpus/wavs/speak000-00000.wav $(DEMO)/first.wav --codec mini
	@echo
	$(BIN)/ns2 preprocess $(DEMO)/corpus -o $(DEMO)/shards --codec mini
	@echo
	$(BIN)/ns2 verify $(DEMO)/shards
	$(BIN)/ns2 inspect $(DEMO)/shards
	$(BIN)/ns2 inspect $(DEMO)/shards --plot $(DEMO)/first.png
	@echo
	@echo "Listen to $(DEMO)/corpus/wavs and $(DEMO)/first.wav, look at $(DEMO)/first.png, read the arrays in $(DEMO)/shards."

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

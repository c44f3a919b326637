# make demo   set up, then plan to goal images with the default checkpoint
# make test   set up, then lint, types and tests
# make fuzz   damage COUNT=… files of every kind that is read, 10000 by default
# PYTHON=…    choose the interpreter that makes .venv (3.11 or newer)

SHELL := /bin/sh
BIN := .venv/bin
OUT ?= runs/demo
COUNT ?= 10000
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: demo test fuzz clean

demo: .venv/.stamp
	$(BIN)/worldmodel plan task=reach episodes=10 videos=2 out=$(OUT)/reach
	$(BIN)/worldmodel plan task=push episodes=10 videos=4 out=$(OUT)/push
	@echo "Videos: $(OUT)/reach/videos $(OUT)/push/videos   Reports: $(OUT)/reach/report.html $(OUT)/push/report.html"

test: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

fuzz: .venv/.stamp
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz --count $(COUNT)

# Written last, so that an interrupted set-up starts again.
.venv/.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11 or newer; install one (apt-get install python3) or pass PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is no Python 3.11 or newer; pass PYTHON=/path/to/one" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) lacks venv; run: apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info

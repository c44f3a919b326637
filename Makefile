# make demo   set up, then plan to goal images with the default checkpoint
# make test   set up, then lint, types and tests but for the slow ones
# make test-all  the same with the slow ones
# make docs   set up, then build the site in site/; a dead link is an error
# make metaworld  install Meta-World in an environment of its own on top of .venv, and test it there
# make fuzz   damage COUNT=… files of every kind that is read, 10000 by default
# make test-lowest   the tests of what other packages do, with the lowest versions allowed
# PYTHON=…    choose the interpreter that makes .venv (3.11 or newer)

SHELL := /bin/sh
BIN := .venv/bin
OUT ?= runs/demo
COUNT ?= 10000
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# The lowest versions are of a time before Python 3.13.
LOWEST := .venv-lowest/bin
LOWEST_PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo $$p && break; done)
LOWEST_TESTS := tests/envs tests/planners/optimizers/test_cem.py tests/worldmodel/data tests/worldmodel/weights \
  tests/worldmodel/test_training_log.py tests/worldmodel/evaluation/test_evaluate.py \
  tests/worldmodel/evaluation/test_report.py tests/worldmodel/evaluation/test_video.py \
  tests/worldmodel/evaluation/test_image_files.py

.PHONY: demo lint test test-all docs metaworld test-lowest fuzz clean

demo: .venv/.stamp
	$(BIN)/worldmodel plan task=reach episodes=10 videos=2 out=$(OUT)/reach
	$(BIN)/worldmodel plan task=push episodes=10 videos=4 out=$(OUT)/push
	@echo "Videos: $(OUT)/reach/videos $(OUT)/push/videos   Reports: $(OUT)/reach/report.html $(OUT)/push/report.html"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m "not slow"

test-all: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

lint: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.docs-stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

metaworld: .venv-metaworld/.stamp
	OMP_NUM_THREADS=1 .venv-metaworld/bin/python -m pytest tests/envs/test_metaworld.py tests/envs/test_suites.py tests/test_any_environment.py -k metaworld

fuzz: .venv/.stamp
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz --count $(COUNT)

# Transformers, which two of these files compare with, wants higher versions than the lowest.
test-lowest: .venv-lowest/.stamp
	OMP_NUM_THREADS=1 $(LOWEST)/python -m pytest -n auto --dist loadfile $(LOWEST_TESTS) \
	  --ignore tests/worldmodel/weights/test_huggingface.py --ignore tests/worldmodel/weights/test_foreign.py

# It pins MuJoCo 3.3 and runs with the one of .venv, so its dependencies are left as they are.
.venv-metaworld/.stamp: .venv/.stamp
	$(BIN)/python -m venv --without-pip .venv-metaworld
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" > \
	  $$(.venv-metaworld/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/below.pth
	$(BIN)/python -m pip --python .venv-metaworld/bin/python install --quiet --disable-pip-version-check --no-deps metaworld==3.1.1
	@touch $@

.venv-lowest/.stamp: pyproject.toml constraints-lowest.txt
	@test -n "$(LOWEST_PYTHON)" || { echo "error: found no Python 3.11 or 3.12, which the lowest versions need; pass LOWEST_PYTHON=/path/to/one" >&2; exit 1; }
	test -x $(LOWEST)/pip || $(LOWEST_PYTHON) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e '.[all]' pytest pytest-xdist
	@touch $@

# Without what timm depends on: torchvision has no build for every torch, and its networks need none.
# Written last, so that an interrupted set-up starts again.
.venv/.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11 or newer; install one (apt-get install python3) or pass PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is no Python 3.11 or newer; pass PYTHON=/path/to/one" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) lacks venv; run: apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps timm
	@touch $@

.venv/.docs-stamp: .venv/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv .venv-metaworld .venv-lowest build dist site *.egg-info

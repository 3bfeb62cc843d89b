# Each target sets up what it needs: a virtual environment in .venv, the package in it, then the work.
# Pass more with ARGS="...": make test ARGS="tests/actor -k fifo", make train ARGS="--seed 1".

PYTHON ?= python3
VENV ?= .venv
SCRIPTS ?= $(notdir $(basename $(wildcard benchmarks/[!_]*.py)))
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
SETUP = setup.cfg pyproject.toml constraints.txt

.PHONY: help train test ray ray-smoke atari chaos lint types notebooks notebooks-save pictures bench-smoke bench clean

help:
	@echo "make train        learn CartPole with 4 environment actors, about two minutes (STEPS=2000 for a taste)"
	@echo "make test         run the tests"
	@echo "make ray          install Ray too, and test on it; half an hour, ray-smoke one minute"
	@echo "make atari        install Atari games and OpenCV too, and train a little on one"
	@echo "make chaos        a few minutes of deaths, floods and endurance (SECONDS=20 for each test)"
	@echo "make lint         ruff, format and rules"
	@echo "make types        mypy; strict on the runtime"
	@echo "make notebooks    execute the notebooks (notebooks-save keeps their outputs)"
	@echo "make pictures     train and draw the pictures of docs/watching.md; needs chromium, some minutes"
	@echo "make bench-smoke  each benchmark once, short; make bench for the real thing"

train: $(VENV)/.ready
	$(BIN)/actorrl train cartpole $(if $(STEPS),--steps $(STEPS)) $(ARGS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

ray: $(VENV)/.ready-ray
	ACTORRL_ENGINES=ray $(BIN)/python -m pytest tests/conformance tests/on_ray $(ARGS)

ray-smoke: $(VENV)/.ready-ray
	$(BIN)/python -m pytest tests/conformance/test_ray.py $(ARGS)

atari: $(VENV)/.ready-atari
	$(BIN)/python -m pytest tests/training/test_filters.py -k "atari or smaller" $(ARGS)

chaos: $(VENV)/.ready
	$(BIN)/python -m pytest tests/chaos --chaos=$(or $(SECONDS),20) $(ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy actorrl
	$(BIN)/mypy --strict --follow-imports=silent actorrl/errors.py actorrl/actor

# Each under three minutes; in the foreground, so that whoever ends make ends it too.
notebooks: $(VENV)/.ready-dev
	set -e; for notebook in notebooks/*.ipynb; do \
		timeout --foreground 180 $(BIN)/jupyter execute --timeout=180 $$notebook; done

notebooks-save: $(VENV)/.ready-dev
	$(BIN)/jupyter execute --timeout=300 --inplace notebooks/*.ipynb

pictures: $(VENV)/.ready
	$(BIN)/python docs/pictures.py $(ARGS)

bench-smoke: $(VENV)/.ready
	set -e; for script in benchmarks/[!_]*.py; do $(BIN)/python $$script --quick; done

bench: $(VENV)/.ready
	set -e; for name in $(SCRIPTS); do $(BIN)/python benchmarks/$$name.py; done
	$(BIN)/python benchmarks/_tables.py

clean:
	rm -rf $(VENV) .nox build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "actorrl needs Python 3.10 or newer, $(PYTHON) is older: make ... PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(SETUP) | $(BIN)/python
	@echo "installing actorrl and what it needs into $(VENV), a minute or two the first time"
	$(PIP) -e '.[cli,test,tune]'
	@touch $@

$(VENV)/.ready-ray: $(VENV)/.ready
	$(PIP) -e '.[cli,test,ray]'
	@touch $@

$(VENV)/.ready-atari: $(VENV)/.ready
	$(PIP) -e '.[cli,test,atari]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) -e '.[cli,test,tune,dev,notebooks]'
	@touch $@

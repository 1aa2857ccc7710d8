# `make` alone lists the targets. Variables are given as in `make reproduce PROFILE=open DATA=/data SEED=1`.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= laptop
DATA ?=
SEED ?= 0
SEEDS ?= 3
JOBS ?=
PORT ?= 8000
GPUS ?= 0
OPTIONS ?=
SET ?=
NB ?=
ARGS ?=
LOCK ?=

# The pages that compare what `make ablations` trains.
COMPARE = -p settings.rows all -p settings.seeds $(SEEDS) --only 06 07 08 09 11 12 15
PAGES := notebooks/[0-9][0-9]_*

BIN := $(VENV)/bin
READY := $(VENV)/.done
RUN := $(BIN)/python -m stt_study.engine.launch --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) -p seed $(SEED) \
	$(if $(DATA),-p data "'$(DATA)'") $(ARGS)

# Runs a command while no other `make` does so: the file's lock is free as soon as its process is gone, however it went.
ALONE := import fcntl, os, sys; lock = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR); fcntl.flock(lock, fcntl.LOCK_EX); \
	os.set_inheritable(lock, True); os.execvp(sys.argv[2], sys.argv[2:])
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(LOCK),--constraint $(LOCK))

.DEFAULT_GOAL := help
.PHONY: help setup environment reproduce notebooks ablations cluster verify notebook book serve lab data test check
.PHONY: format sync lock audit clean

help:  ## list the targets
	@echo "Targets (variables: PROFILE=$(PROFILE) DATA=$(DATA) SEED=$(SEED) SEEDS=$(SEEDS) JOBS=$(JOBS) PYTHON=$(PYTHON) NB= SET= GPUS= OPTIONS= ARGS= LOCK=):"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## the environment alone; LOCK=requirements.lock: with the very versions that were tested

reproduce: notebooks  ## everything: environment, data, all notebooks, the book; only what is stale
	@$(BIN)/python book/build.py --profile $(PROFILE)

notebooks: $(READY)  ## run all notebooks of PROFILE that are stale
	@$(RUN)

ablations: $(READY)  ## train every variant with SEEDS seeds (hours), then the pages that compare them
	@$(RUN) $(COMPARE)
	@$(BIN)/python book/build.py --profile $(PROFILE)

verify: $(READY)  ## compare a run's figures with the reference results; train what is missing
	@$(BIN)/python -m stt_study.results.reference verify --profile $(PROFILE) --seed $(SEED) $(if $(DATA),--data "$(DATA)")

notebook: $(if $(NB),$(READY))  ## run one, fresh or not: NB=06_ablation_no_global ARGS="-p name value"
	@test -n "$(NB)" || { echo 'Say which: make notebook NB=03 ARGS="-p seed 1"'; exit 2; }
	@$(RUN) --only $(NB) --force

book: $(READY)  ## render the book out of the notebooks that ran
	@$(BIN)/python book/build.py --profile $(PROFILE)

serve: book  ## serve the book on this machine: PORT=8000
	@echo "The book is at http://127.0.0.1:$(PORT)/ (Ctrl-C stops it)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory runs/$(PROFILE)/book/html $(PORT) 2>/dev/null

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

cluster: $(READY) $(VENV)/.cluster  ## `ablations` as jobs: OPTIONS="--dry-run" or "--executor slurm --jobs 20"
	@$(RUN) --gpus $(GPUS) $(COMPARE) -- --retries 1 $(OPTIONS)

data: $(READY)  ## get and check SET=davis|imagenette|jhmdb|vip|youtube-vos|imagenet, or make those that ship as code
	@$(BIN)/stt data $(if $(SET),get $(SET) --root "$(or $(DATA),data)",synthetic --root data/synthetic)

test: check  ## everything that CI runs: checks, tests, the whole pipeline on little data
	@$(BIN)/python -m pytest -n auto --dist loadfile
	@$(MAKE) --no-print-directory reproduce PROFILE=smoke DATA= SEED=0
	@STT_RUN=runs/smoke $(BIN)/python -m pytest tests/study/test_kills.py -k again
	@STT_BOOK=runs/smoke/book/html $(BIN)/python -m pytest tests/book/browser

check: $(READY)  ## lint, format, types, directions of imports
	@$(BIN)/ruff check --extend-exclude '*.ipynb' .
	@$(BIN)/ruff format --check --extend-exclude '*.ipynb' .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY)  ## fix what `make check` finds and can fix
	@$(BIN)/ruff check --fix --extend-exclude '*.ipynb' .
	@$(BIN)/ruff format --extend-exclude '*.ipynb' .
	@$(MAKE) --no-print-directory sync

sync: $(READY)  ## after editing a notebook: make its text and its .ipynb agree; the newer one counts
	@$(BIN)/jupytext --quiet --sync $(PAGES).py
	@$(BIN)/jupyter nbconvert --log-level ERROR --clear-output --inplace $(PAGES).ipynb

lock: $(READY)  ## write requirements.lock: the versions in the environment as it is
	@$(BIN)/python -m pip freeze --disable-pip-version-check --exclude-editable | grep -v ' @ ' > requirements.lock.new
	@mv requirements.lock.new requirements.lock

audit: $(READY)  ## look up requirements.lock in the database of known vulnerabilities (asks the package index)
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@$(VENV)/audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

clean:  ## remove all that runs made (runs/); data and the environment stay
	rm -rf runs

$(VENV)/.cluster: $(READY)
	@$(PIP) -e '.[cluster]'
	@touch $@

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or give PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), but this needs Python 3.11 or newer: give PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c '$(ALONE)' $(VENV).lock $(MAKE) --no-print-directory environment

environment:
	@if test ! -e $(READY) -o pyproject.toml -nt $(READY); then set -e; \
		echo "Making the environment in $(VENV): once, some minutes."; \
		$(PYTHON) -m venv $(VENV); \
		$(PIP) -e '.[notebooks,book,test,timm,logs]'; \
		touch $(READY); \
	fi

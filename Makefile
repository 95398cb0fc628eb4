# Everything that people and CI run. `make` alone lists it.

# Keeps the repository's folders off sys.path, where `import agents` would find ours (see ARCHITECTURE.md).
export PYTHONSAFEPATH := 1
export PYTHON

BIN := .venv/bin
PACKAGES := api backends agents graphs rl evals cli
# A folder's time changes when a module is added or removed, which is when links must be made anew.
FOLDERS := $(shell find $(PACKAGES) -type d -not -name __pycache__)
# One process of tests per core; `make test WORKERS=0` runs all in one.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --no-loadscope-reorder
REQUEST ?= examples/requests/bedtime.txt
SEED ?= 9

.DEFAULT_GOAL := help
.PHONY: help setup sync demo test check lint browser experiments clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: .venv/.linked ## make .venv, install what this machine can run, fetch the models (PYTHON=... picks one)

.venv/.set-up: pyproject.toml constraints.txt set-up
	./set-up
	@touch $@

.venv/.linked: .venv/.set-up $(FOLDERS)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

sync: .venv/.set-up ## link modules that were added or removed
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch .venv/.linked

demo: setup ## write a real request with a real model: criteria, draft, judgements, revisions (REQUEST=file)
	HF_HUB_OFFLINE=1 $(BIN)/quillgraph write --file "$(REQUEST)" --seed $(SEED) --text-tokens 200

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) tests benchmarks
	$(BIN)/lint-imports

test: lint browser ## set up, check and test everything, as CI does
	HF_HUB_OFFLINE=1 $(BIN)/pytest $(PARALLEL)

browser: # for the tests of the report; where none can be had they are skipped and say so
	@./set-up browser

experiments: setup ## does memory save samples? (GRPO, replay and MRPO on a hidden rubric, about an hour)
	$(BIN)/python -P benchmarks/hidden_rubric.py --results runs/experiments

check: lint ## the same without the tests that run a model
	HF_HUB_OFFLINE=1 $(BIN)/pytest $(PARALLEL) -m "not model"

clean: ## remove what was built; the links of the editable install stay
	rm -rf dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 -not -name '__editable__*' -exec rm -rf {} +; fi
	@find $(PACKAGES) tests examples benchmarks -name __pycache__ -exec rm -rf {} +

# genscope. `make help` lists what can be done; every target sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUICKSTART := outputs/quickstart
# Of a GPU node without internet; of its packages, a file (pip list --format=freeze there) or those of a usual PyTorch image.
PYTHON_VERSION ?= 3.12
NODE_PACKAGES ?= benchmarks/gpu_study/node_packages.txt
BUDGET ?= 480
OUT ?= outputs/gpu_study_results

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow check format benchmark wheelhouse gpu-study clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (some minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "genscope needs Python 3.10 or newer: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
# An oracle of the tests, without the notebook server that it asks for; tests that need it are skipped where it is missing.
	-@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps HolisticTraceAnalysis
	@touch $@

setup: $(VENV)/.ready ## Make .venv with everything in it, pinned by constraints.txt

run: $(VENV)/.ready ## Run the quickstart study on this machine and write its report
	@$(BIN)/python run.py study=quickstart; status=$$?; \
	$(BIN)/python -m reports $(QUICKSTART) --out $(QUICKSTART)/report && exit $$status

test: $(VENV)/.ready ## Run the tests (some minutes on two cores; no GPU, no network)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not gpu'

test-slow: $(VENV)/.ready ## Run those tests that take minutes each, which `make test` leaves out
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow and not gpu'

check: $(VENV)/.ready ## Format, lint, type and spelling check, changing nothing
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright && $(BIN)/codespell suite workloads reports hydra_plugins benchmarks tests docs conf *.md

format: $(VENV)/.ready ## Format the code and mend what lint can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

benchmark: $(VENV)/.ready ## Time attribution against torch's own parsing of a large trace
	@$(BIN)/python benchmarks/attribution.py

wheelhouse: $(VENV)/.ready ## Wheels for a GPU node without internet (PYTHON_VERSION=3.12 NODE_PACKAGES=FILE)
	@$(BIN)/python -m benchmarks.gpu_study wheelhouse --python-version $(PYTHON_VERSION) --node-packages $(NODE_PACKAGES)

gpu-study: ## On that node: the plan of docs/gpu_study.md, as far as it goes (BUDGET=480 OUT=DIR ARGS=...)
	@$(PYTHON) -m benchmarks.gpu_study run --wheelhouse wheelhouse --budget $(BUDGET) --out $(OUT) $(ARGS)

clean: ## Delete .venv and caches; results in outputs/ stay
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build *.egg-info

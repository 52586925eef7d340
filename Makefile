PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python manage.py
PORT ?= 8000
AGENTS ?= 8
REPO ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup dev run demo test test-slow test-all lint format check bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Swarmyard needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 setup" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.runtime ## Make the virtual environment and install what Swarmyard needs

dev: $(VENV)/.dev ## The same, with what its tests and linters need

run: setup ## Start the yard on this machine (PORT=8000)
	$(RUN) up --port $(PORT)

demo: setup ## Start the yard and 8 agents on a real repository (REPO=path of your own, AGENTS=8, PORT=8000)
	$(RUN) demo --port $(PORT) --agents $(AGENTS) $(if $(REPO),--repository "$(REPO)")

test: dev ## Run the tests (below 5 minutes; ARGS=… goes to pytest)
	$(BIN)/python -m pytest -q -n 3 --dist loadgroup -m "not slow" $(ARGS)

test-slow: dev ## Run only the slow tests
	$(BIN)/python -m pytest -q -m slow $(ARGS)

test-all: test test-slow ## Run every test, slow ones too

lint: dev ## Check style, types, layers, templates, migrations and settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --check --lint --quiet templates
	$(RUN) makemigrations --check --dry-run
	SWARMYARD_TLS=1 SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(60))') ALLOWED_HOSTS=yard.example $(RUN) check --deploy --fail-level WARNING

format: dev ## Rewrite code and templates in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet templates

check: lint test ## Both of the above

bench: dev ## Run the benchmarks (ARGS=--quick for a short run)
	for bench in spawn sustained dashboard telemetry fanout shim; do $(BIN)/python bench/$$bench.py $(ARGS) || exit 1; done

clean: ## Remove the virtual environment and caches; the home (var/) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

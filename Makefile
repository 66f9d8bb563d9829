# osaurus-nb: one command to start, one to be sure. Works with GNU make 3.81 and newer.

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the PATH that is new enough; otherwise python3, which is then told what it lacks.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; exit; fi; done; echo python3)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The lock names every package, so pip resolves nothing, builds nothing and takes only files with these hashes.
INSTALL := $(PIP) install --quiet --require-hashes --no-deps --only-binary :all:
LOCK_GROUP := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header
LOCK := $(LOCK_GROUP) pyproject.toml
# Jupyter refuses to run as root unless it is told to; containers are root.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
NOTEBOOK ?= notebooks/quickstart.ipynb

.DEFAULT_GOAL := help
.PHONY: help lab demo test check bench bench-rivals clients setup dev lock clean

help:
	@echo "make lab      set up, fetch the embedded model, open JupyterLab on the quickstart"
	@echo "make demo     the same without a browser: a streamed answer, then one over HTTP"
	@echo "make test     set up and run all tests           (ARGS='-k name' for some)"
	@echo "make check    format, lint, types, imports, all tests: what CI runs"
	@echo "make bench    the figures that the README quotes, measured here"
	@echo "make bench-rivals  LiteLLM's proxy beside ours (installs it apart); ARGS='--sage-router FOLDER' for one more"
	@echo "make clients  install other people's clients (1.5 GB, with npm) and drive them against our server"
	@echo "make lock     choose new versions for constraints/"
	@echo "make clean    remove what these commands made here"

lab: setup
	$(BIN)/osaurus-nb pull
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-lab $(AS_ROOT) --ServerApp.root_dir=$(dir $(NOTEBOOK)) \
	  --LabApp.default_url=/lab/tree/$(notdir $(NOTEBOOK)) $(ARGS)

demo: setup
	$(BIN)/osaurus-nb pull
	$(BIN)/osaurus-nb demo $(ARGS)

test: dev
	$(BIN)/python -m pytest $(ARGS)

check: dev
	$(PIP) check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(ARGS)

bench: dev
	@for file in $(filter-out benchmarks/rivals.py,$(wildcard benchmarks/[a-z]*.py) benchmarks/intent/judge.py); do \
	  echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-rivals: dev
	$(BIN)/python benchmarks/rivals.py $(ARGS)

# Each in an environment of its own, exactly as locked; one that cannot be installed is a failure.
CLIENTS := .cache/clients
clients: dev $(CLIENTS)/clients/.done $(CLIENTS)/aider/.done $(CLIENTS)/npm/.done
	$(BIN)/python -m pytest -m nightly tests/clients $(ARGS)

$(CLIENTS)/%/.done: constraints/%.txt
	@echo "Installing $*"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --no-deps \
	  --only-binary :all: -r $<
	@touch $@

$(CLIENTS)/npm/.done: constraints/npm/package-lock.json constraints/npm/package.json
	@echo "Installing the coding clients"
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	@node $(@D)/node_modules/@anthropic-ai/claude-code/install.cjs
	@touch $@

setup: $(VENV)/.setup
dev: $(VENV)/.dev

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here; osaurus-nb needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) tools/need_python.py
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.lab-lock: constraints/lab.txt $(VENV)/.made
	@echo "Installing what JupyterLab and the local engine need (once; a minute or two)"
	@$(INSTALL) -r $<
	@touch $@

$(VENV)/.dev-lock: constraints/dev.txt $(VENV)/.made
	@echo "Installing what the tests need as well (once; a minute or two)"
	@$(INSTALL) -r $<
	@touch $@ $(VENV)/.lab-lock

# The package itself, editable: again only when its metadata or its Jupyter config changed.
EDITABLE := $(PIP) install --quiet --no-deps --no-build-isolation --editable .
METADATA := pyproject.toml jupyter_ext/jupyter-config/osaurus_nb_server.json

$(VENV)/.setup: $(VENV)/.lab-lock $(METADATA)
	@$(EDITABLE)
	@touch $@

$(VENV)/.dev: $(VENV)/.dev-lock $(METADATA)
	@$(EDITABLE)
	@touch $@ $(VENV)/.setup

# The wider lock first; the narrower takes its versions, so that one environment serves both.
lock: dev
	$(LOCK) --extra lab --extra nested --group dev --upgrade --output-file constraints/dev.txt
	$(LOCK) --extra lab --group build --constraint constraints/dev.txt --output-file constraints/lab.txt
	$(LOCK_GROUP) --group clients --upgrade --output-file constraints/clients.txt
	$(LOCK_GROUP) --group aider --upgrade --output-file constraints/aider.txt
	cd constraints/npm && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean:
	rm -rf $(VENV) dist build artifacts .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

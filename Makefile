# Everything here needs make and Python 3.11 or newer; the rest is installed into .venv-VERSION.
# Another Python: `make test PYTHON=python3.12`.
PYTHON ?= python3
WORKERS ?= 2

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv-$(VERSION)
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

.PHONY: demo test test-all parity docs lint clean

demo: $(VENV)/recipes.installed  ## trains on digits and draws what came out
	$(BIN)/jdl run digits --out runs/demo --overwrite

test: $(VENV)/dev.installed  ## the fast suite
	$(PYTEST) -m "not slow and not parity"

parity: $(VENV)/parity.installed  ## the comparisons with other libraries
	$(PYTEST) -m "parity and not slow"

test-all: $(VENV)/parity.installed  ## everything
	$(PYTEST)

docs: $(VENV)/docs.installed  ## the site, in docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

lint: $(VENV)/dev.installed  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## removes what the rules above made
	rm -rf .venv-* .jax_cache docs/_build docs/api

$(VENV)/%.installed: pyproject.toml constraints.txt | $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$*]" --constraint constraints.txt
	@touch $@

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "jdl needs Python 3.11 or newer, this is %s; set PYTHON=" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

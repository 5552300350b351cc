# A fresh machine needs Python 3.11+ and make. `make PYTHON=python3.12 install` picks another interpreter;
# `make VENV=/elsewhere/env test` uses an environment that is already there. The tests run on every core, one thread each.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.PHONY: help install demo test lint format clean

help:
	@echo "make install   create $(VENV) and install rewardkit with its development tools"
	@echo "make demo      install, then train and evaluate on the built-in base: runs/demo/report.html"
	@echo "make test      the tests (ARGS='tests/commands/test_cli.py -x' for some of them)"
	@echo "make lint      ruff and mypy"
	@echo "make format    let ruff fix what it can"
	@echo "make clean     remove caches and builds (never runs/ or $(VENV))"

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rewardkit needs Python 3.11 or newer; try: make PYTHON=python3.12 install" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e '.[dev]'
	touch $@

demo: install
	$(BIN)/rewardkit demo --out runs/demo $(ARGS)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

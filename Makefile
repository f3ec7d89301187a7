# make quick: from a bare clone to a trained comparison of sigmoid and tanh.  make test: set up and run the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quick test lint types bench clean

$(READY): pyproject.toml
	@echo "setting up $(VENV): torch and torchvision are some gigabytes, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(READY)

quick: $(READY)
	$(BIN)/bamgate run --gate sigmoid,tanh --seeds 0-2 --out runs/quick

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) types

# mypy finds the mapped folders (cli -> bamgate.cli) only where they stand under one roof.
types: $(READY)
	rm -rf .mypy_view && mkdir -p .mypy_view/bamgate
	ln -s $(CURDIR)/bamgate/* .mypy_view/bamgate/
	ln -s $(CURDIR)/cli $(CURDIR)/studies $(CURDIR)/reports .mypy_view/bamgate/
	cd .mypy_view && MYPYPATH=. ../$(BIN)/mypy --config-file ../pyproject.toml -p bamgate

bench: $(READY)
	$(BIN)/bamgate bench

clean:
	rm -rf $(VENV) .mypy_view build dist *.egg-info

# make quick: from a bare clone to the study `quick` and its report.  make test: set up and run the tests.
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
	$(BIN)/bamgate study run quick --out runs/quick
	$(BIN)/bamgate report runs/quick

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

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

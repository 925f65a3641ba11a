# `make train` and `make test` work on a fresh clone: they make .venv first, once.
PYTHON ?= python3.11
PIP_ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: train test test-fast lint bench models clean

train: $(STAMP)
	$(BIN)/python train.py $(ARGS)

# A group (`xdist_group`) shares an expensive fixture and stays on one worker.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

test-fast: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/speed.py --short $(ARGS)

models: $(STAMP)
	$(BIN)/python tools/make_models.py $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	touch $@

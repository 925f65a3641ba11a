# `make train` and `make test` work on a fresh clone: they make .venv first, once.
PYTHON ?= python3.11
PIP_ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: train test test-fast lint docs linkcheck bench models clean

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

# The site, in docs/_build/html: made anew each time, and a warning is an error.
docs: $(STAMP)
	rm -rf docs/_build/html docs/_build/doctrees docs/api/packages
	$(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/doctrees docs docs/_build/html $(ARGS)

# The links that leave the site; needs a network.
linkcheck: $(STAMP)
	$(BIN)/python -m sphinx -q -b linkcheck -d docs/_build/doctrees docs docs/_build/linkcheck $(ARGS)

bench: $(STAMP)
	$(BIN)/python benchmarks/speed.py --short $(ARGS)

models: $(STAMP)
	$(BIN)/python tools/make_models.py $(ARGS)

clean:
	rm -rf docs/_build docs/api/packages .venv .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	touch $@

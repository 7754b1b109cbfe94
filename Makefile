# The two commands of a newcomer: `make demo` and `make test`.
# Both build into .venv, and only what changed the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := CMakeLists.txt pyproject.toml $(shell find src -type f ! -name '*.pyc')

.PHONY: demo test lint bench compare develop clean

demo: $(STAMP)
	$(BIN)/python examples/flights.py

test: $(STAMP)
	$(BIN)/python -m pytest -q
	FASTTREE_ISA=baseline $(BIN)/python -m pytest -q tests/kernels tests/test_growth.py tests/test_minimal.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint --no-pycodestyle --max-line-length=88 src
	$(BIN)/mypy

bench: $(STAMP)
	cd benchmarks && ../$(BIN)/asv machine --yes && ../$(BIN)/asv run --python=same --quick --show-stderr

compare: $(STAMP)
	$(BIN)/python benchmarks/compare.py

# An import then rebuilds the kernels whose sources have changed.
develop: $(STAMP)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps \
		-Ceditable.rebuild=true --editable .

clean:
	rm -rf $(VENV) build .asv

$(VENV)/.tools: pyproject.toml
	@echo "== creating $(VENV) and installing the tools (once, about a minute)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group dev "numpy>=1.26" "scikit-learn>=1.9"
	@touch $@

$(STAMP): $(VENV)/.tools $(SOURCES)
	@echo "== building fasttree"
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

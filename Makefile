# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SECONDS ?= 60
SEED ?=

.PHONY: help demo test docs lint format bench fuzz pycaffe clean

help:
	@echo "make demo    fold the example network; prove that it is the same, and faster"
	@echo "make test    run the tests (those in Caffe itself where pycaffe is on PYTHONPATH)"
	@echo "make lint    check style and types"
	@echo "make docs    build these pages into build/site; broken links are errors"
	@echo "make bench   measure speed and memory, as ratios"
	@echo "make fuzz    judge random networks and damaged files, SECONDS=60 of both (SEED=n repeats)"
	@echo "make pycaffe build Caffe itself, to check networks in it (Debian 12, some minutes)"

$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[opencv]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

docs: $(VENV)/.dev
	$(BIN)/python tools/write_docs.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html"

demo: $(VENV)/.demo
	@PATH="$(abspath $(BIN)):$$PATH" examples/digits/demo.sh

# In as many processes as there are cores, in an order whose seed the last lines name (SEED repeats
# it, and the examples that hypothesis draws). The tests start hundreds of commands: without
# bytecode on disk, each would compile bnfold anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist worksteal \
	    $(if $(SEED),-p randomly --randomly-seed=$(SEED) --hypothesis-seed=$(SEED))

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/merge.py
	$(BIN)/python benchmarks/parts.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/checks.py

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# The script's only output is the folder; it says on the way what it does.
pycaffe: $(VENV)/.demo
	@folder=$$(tools/build_pycaffe.sh --python "$(abspath $(BIN))/python") && \
	printf '%s\n' "" "Caffe is built. For this shell, and all that it starts:" "" \
	    "    export PYTHONPATH=$$folder" "" "Then \`bnfold runtimes\` lists it."

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

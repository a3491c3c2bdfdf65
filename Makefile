PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint clean

quickstart: $(VENV)/.ready  ## export NanoHTNet with the bundled weights, prove the pose survived, time it
	$(BIN)/poseedge export --model nanohtnet --output build/nanohtnet
	$(BIN)/poseedge bench build/nanohtnet

# A file's tests stay in one process, which share what they made; more threads than processors would wait for each other.
test: $(VENV)/.ready lint  ## lint, types and tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.doubles.stubs .mypy_cache/tensorrt-stubs
	$(BIN)/mypy

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# Without its dependencies, which are TensorRT itself: gigabytes that mypy does without.
	$(BIN)/python -m pip install --quiet --no-deps tensorrt-stubs==10.13.0.35.1
	touch $@

clean:
	rm -rf $(VENV) build

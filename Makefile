PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

.PHONY: quickstart test test-versions test-nvidia check bench fuzz soak lint clean
SECONDS ?= 600
SEED ?= $(shell date +%s)
CALLS ?= 100000

quickstart: $(VENV)/.export  ## export NanoHTNet with the bundled weights, prove the pose survived, time it
	$(BIN)/poseedge export --model nanohtnet --output build/nanohtnet
	$(BIN)/poseedge bench build/nanohtnet

# A file's tests stay in one process, which share what they made; more threads than processors would wait for each other.
test: $(VENV)/.dev lint  ## lint, types and tests: seven minutes on two cores
	$(PYTEST)

test-versions: $(VENV)/.dev  ## the stand-ins of every TensorRT that a JetPack brings, not four of them alone
	$(PYTEST) -m every_version

# In a folder of its own: 96 MB that only this needs, and a module that must not be found as TensorRT elsewhere.
NVIDIA := build/nvidia
test-nvidia: $(VENV)/.dev $(NVIDIA)/.installed  ## NVIDIA's own parser and builder, without a GPU, on every network and precision
	PYTHONPATH=$(NVIDIA) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/nvidia -m nvidia -s
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/targets/aot

$(NVIDIA)/.installed:
	$(BIN)/python -m pip install --quiet --no-deps --target $(NVIDIA) \
		tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116
	$(PIP) --editable '.[aot]'
	touch $@

check: $(VENV)/.dev lint  ## lint, types, and the tests that take no export and no training: a minute
	$(PYTEST) -m "not slow and not every_version"

bench: $(VENV)/.export  ## every recorded comparison again, on an idle machine; DATA is a whole data set, such as mocap17
	$(BIN)/python -m benchmarks all $(if $(DATA),--data $(DATA))

fuzz: $(VENV)/.dev  ## damage every kind of file, for SECONDS in all; make test does so for 15
	FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz -s

soak: $(VENV)/.dev  ## use a lifter and streams from four threads for CALLS calls each
	SOAK_CALLS=$(CALLS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/soak -s

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.doubles.stubs .mypy_cache/tensorrt-stubs
	$(BIN)/mypy

$(VENV)/.export: pyproject.toml constraints.txt install_torch.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	bash install_torch.sh $(BIN)/python
	$(PIP) --editable '.[export]'
	touch $@

$(VENV)/.dev: $(VENV)/.export
	$(PIP) --editable '.[dev]'
	# Without its dependencies, which are TensorRT itself: gigabytes that mypy does without.
	$(BIN)/python -m pip install --quiet --no-deps tensorrt-stubs==10.13.0.35.1
	touch $@

clean:
	rm -rf $(VENV) build

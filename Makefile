# Two commands are all a newcomer needs: `make demo` and `make test`. Each does all of its own set-up first.
# Set-up takes some minutes the first time (llama.cpp is compiled once) and no time after that.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The compiled llama.cpp is kept outside the checkout, apart for each kind of CPU because it is built for this one.
CPU := $(shell (uname -m; grep -m1 -E '^(flags|Features)' /proc/cpuinfo) 2>/dev/null | cksum | cut -d' ' -f1)
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mct/wheels-$(CPU)

.PHONY: demo test check clean node mlflow peers

demo: .venv/.ready
	$(BIN)/mct demo

test: .venv/.ready check
	$(BIN)/pytest -n auto --dist worksteal

# The fast part of `make test`: style, types.
check: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .mct build *.egg-info .mypy_cache .ruff_cache .pytest_cache

.venv/.ready: setup.cfg constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mct needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	ls $(WHEELS)/llama_cpp_python-*.whl >/dev/null 2>&1 || $(MAKE) --no-print-directory llama.cpp
	# The name that this package had once, and that another one has on the index: its files would stand in for ours.
	$(BIN)/python -m pip uninstall --quiet --quiet --yes mct
	$(PIP) --find-links $(WHEELS) --prefer-binary --editable '.[all,dev]'
	# optimum-intel pulls in a torchvision built for another torch, which then breaks transformers. Nothing here needs it.
	$(BIN)/python -m pip uninstall --quiet --yes torchvision
	touch $@

# Other tools' models beside ours (results/peers.md): their environments take some gigabytes and are kept, like the
# checkpoint, which takes some minutes to train; measuring takes ten. PEERS="--ours DIR --seconds 300" adds and shortens.
peers: .venv/.ready .cache/banking77/minilm/config.json
	$(BIN)/python results/peers.py --wheels $(WHEELS) $(PEERS)

.cache/banking77/minilm/config.json: | .venv/.ready
	$(BIN)/python results/banking77_checkpoints.py --only minilm

# Optional, for artifacts in Node and in a browser (--target node, browser): two packages from the npm registry, pinned
# in bench/web/package.json. And transformers.js, for the tests that open artifacts in it: half a gigabyte, kept for good.
NODE := $(or $(MCT_NODE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mct/node)
node:
	ONNXRUNTIME_NODE_INSTALL_CUDA=skip npm install --prefix $(NODE) --ignore-scripts --no-audit --no-fund \
		$$(node -p 'Object.entries(require("./bench/web/package.json").dependencies).map((each) => each.join("@")).join(" ")') \
		@huggingface/transformers@4.3.1

# Optional, for the test that writes releases to an MLflow server: it and its client, 850 MB in an environment of their
# own, since trainers of other libraries begin to log wherever they find MLflow.
MLFLOW := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mct/mlflow
mlflow:
	$(PYTHON) -m venv $(MLFLOW)
	$(MLFLOW)/bin/python -m pip install --quiet --disable-pip-version-check mlflow==3.17.2 '.[mlflow]'

.PHONY: llama.cpp
llama.cpp:
	@echo "compiling llama.cpp for this CPU: some minutes, once"
	mkdir -p $(WHEELS)
	CMAKE_BUILD_PARALLEL_LEVEL=$$(getconf _NPROCESSORS_ONLN) \
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON -DCMAKE_PROJECT_llama_cpp_INCLUDE=$(CURDIR)/.dev/llama_cpp.cmake -DCMAKE_INSTALL_LIBDIR=llama_cpp/lib -DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include" \
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
		--constraint constraints.txt --wheel-dir $(WHEELS) llama-cpp-python

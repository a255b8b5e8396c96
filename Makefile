# `make run` opens the explorer, `make test` checks everything; both install what they need first, into .venv.
# Stamps in .venv remember what was installed, so that a second call is quick.

PYTHON ?= python3
PORT ?= 7860
API_PORT ?= 8000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUNNABLE := $(VENV)/.runnable
TESTABLE := $(VENV)/.testable
RAY_VENV := .venv-ray
RAY := $(RAY_VENV)/.runnable

.DEFAULT_GOAL := help
.PHONY: help install run test lint types unit browser ray bench gpu clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

install: $(TESTABLE) ## everything for development: training, server, explorer, tests

run: $(RUNNABLE) ## start server and explorer with the shipped models, print one address (PORT=7860 API_PORT=8000)
	@$(BIN)/python -m app.run --port $(PORT) --api-port $(API_PORT)

test: lint types browser unit ## all checks: ruff, mypy, import rules, pytest with a real Chromium

lint: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The folders of tests are no packages: mypy takes one at a time, or it would meet several modules named conftest.
types: $(TESTABLE)
	$(BIN)/mypy
	@for tests in tests/conftest.py $(sort $(dir $(wildcard tests/*/test_*.py))); do \
		echo "mypy $$tests"; $(BIN)/mypy $$tests || failed=1; \
	done; test -z "$$failed"

unit: $(TESTABLE) browser
	$(BIN)/python -m pytest

# Debian's Chromium for the browser tests. Without it they are skipped with the reason, or fail where CI is set.
APT := DEBIAN_FRONTEND=noninteractive apt-get -q
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi; \
		echo "Installing Chromium for the browser tests ..."; \
		$$sudo env $(APT) update && $$sudo env $(APT) install -y --no-install-recommends chromium; \
	} || echo "No Chromium, so the browser tests cannot run. On Debian: sudo apt-get install chromium"

# Ray is large and brings an event loop and parsers that uvicorn would take wherever it finds them, so that everything
# else would be tested on what few people run: it has an environment to itself.
ray: $(RAY) ## the server on replicas of Ray Serve, tested on a real cluster of this machine
	$(RAY_VENV)/bin/python -m pytest tests/server/test_server_ray.py

bench: $(TESTABLE) ## on this machine's CPU: decoding, the server (also against LitServe), the explorer, training
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.service
	$(BIN)/python -m benchmarks.overload
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.explorer
	$(BIN)/python -m training.data.download mnist
	$(BIN)/python -m benchmarks.training_cpu

gpu: $(TESTABLE) ## the same, and training speed, on a CUDA device
	$(BIN)/python -m benchmarks.gpu

clean: ## forget the virtual environment and caches
	rm -rf $(VENV) $(RAY_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Strata needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "On Debian, venv is a package of its own: apt-get install python3-venv"; exit 1; }

# What whoever runs the explorer needs: no torch.
$(RUNNABLE): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[server,app,cpu]'
	@touch $@

$(TESTABLE): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[training,tensorboard,server,app,video,cpu,test]'
	@touch $@ $(RUNNABLE)

$(RAY): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -m venv $(RAY_VENV)
	$(RAY_VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt \
		-e '.[server,cpu,ray]' httpx2 hypothesis onnx pytest
	@touch $@

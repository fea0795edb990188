# Two commands are all a newcomer needs: `make demo` and `make test`. Each sets up its own environment first.

PYTHON ?= python3
BIN := .venv/bin
WHEELS ?= .cache/wheels

.PHONY: demo test check clean

demo: .venv/.ready
	$(BIN)/mct demo

test: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

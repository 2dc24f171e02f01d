# The targets that a person or a machine needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
STATE_DIR ?= .state
PORT ?= 8779
T ?= tests
WORKERS ?= 2

.PHONY: help setup setup-demo demo serve check lint unit test soak docs bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup-demo:
	@scripts/setup.sh demo

setup: ## Install everything that the tests need (apt through root or sudo, where a server is missing)
	@scripts/setup.sh test

demo: setup-demo ## The main job from end to end: a real PostgreSQL, the real client, every change announced
	@$(BIN)/python -m demo

serve: setup-demo ## Run everything in one process until Ctrl-C (STATE_DIR=, PORT=)
	@$(BIN)/coffer standalone --state-dir $(STATE_DIR) --port $(PORT)

lint: setup ## Style, types, the direction of imports, spelling, stale documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m coffer.derive.check
	$(BIN)/python -m coffer.main.settings_document --check
	$(BIN)/python -m coffer.main.policy_document --check

unit: setup
	$(BIN)/pytest -q tests/unit tests/architecture -n $(WORKERS) --dist loadfile

check: lint unit ## The fast proof, under a minute: lint, types, unit and architecture tests

test: check ## Everything (T=path narrows it, WORKERS= run side by side)
	$(BIN)/pytest -q $(T) --ignore=tests/unit --ignore=tests/architecture -m "not soak" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

soak: setup ## What takes long: every fault of the laboratory, with docs/faults.md (FAULT="relay killed" makes one)
	@scripts/setup.sh soak
ifdef FAULT
	$(BIN)/python -m tests.acceptance.laboratory "$(FAULT)"
else
	$(BIN)/pytest -q -m soak || test $$? -eq 5  # 5: no such tests
	$(BIN)/python -m tests.acceptance.laboratory --write
endif

docs: setup ## Write the derived documents anew
	$(BIN)/python -m coffer.derive.check --write
	$(BIN)/python -m coffer.main.settings_document --write
	$(BIN)/python -m coffer.main.policy_document --write

bench: setup ## Measure side by side with upstream Trove, in 7 minutes; ARGS=--write puts it into docs/performance.md
	@scripts/setup.sh bench
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove what setup and the tests made
	rm -rf .venv .venv-ceilometer .venv-keystone .venv-peer .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The verbs of this repository; `make` alone lists them. CARGO_TARGET_DIR and other variables of cargo work as usual.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test fmt lint doc unit readme columnar deny bench fuzz fixtures interop

CARGO ?= cargo
PYTHON ?= python3

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | expand -t 10

build: ## the program, optimised: target/release/albert
	$(CARGO) build --release

test: fmt lint doc readme ## everything that must hold before a commit; prints what it skipped
	@if command -v cargo-deny >/dev/null; then $(MAKE) --no-print-directory deny; \
	else echo "skipped: make deny (cargo-deny is not installed: cargo install cargo-deny --locked)"; fi
	@echo "skipped: make bench, make fuzz, make columnar (they take minutes); the goldens of make fixtures (they need PyTorch)"
	@$(MAKE) --no-print-directory unit

fmt: ## is every file formatted?
	$(CARGO) fmt --all --check

lint: ## clippy on everything, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## the API documentation of the libraries, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --exclude albert-cli --no-deps --locked

unit: ## all tests, documentation examples too; kernels and models run on every instruction set of this machine
	$(CARGO) test --workspace --locked

readme: ## the library example of README.md, and the script of the demo model against its files
	$(CARGO) run --profile test --locked -q -p albert --example hidden_state
	@folder=$$(mktemp -d) && $(PYTHON) tools/make_demo_fixture.py "$$folder" && diff -r "$$folder" fixtures/demo && rm -r "$$folder"

columnar: ## lint and tests of the program with Parquet and Arrow files, which take minutes to compile
	$(CARGO) clippy -p albert-cli --features columnar --all-targets --locked -- -D warnings
	$(CARGO) test -p albert-cli --features columnar --locked

deny: ## licences, sources and doubled versions of the dependencies
	$(CARGO) deny --locked check licenses bans sources

bench: ## speed here: make bench MODEL=DIR
	@test -n "$(MODEL)" || { echo "make bench MODEL=DIR: a folder with config.json and model.safetensors" >&2; exit 2; }
	$(CARGO) build --release --locked
	@albert="$${CARGO_TARGET_DIR:-target}/release/albert"; "$$albert" doctor; "$$albert" bench peak; \
	for shape in "1 16" "1 128" "8 128" "1 512"; do set -- $$shape; \
	echo -n "$$1 x $$2 tokens: "; "$$albert" bench forward --model "$(MODEL)" --batch $$1 --seq $$2; done

fuzz: ## five minutes of hostile input for each target (needs cargo-fuzz)
	@for target in $$($(CARGO) fuzz list); do \
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run "$$target" -- -max_total_time=300 -rss_limit_mb=1024 -dict="fuzz/$$target.dict"; done

interop: ## do PyTorch, TensorFlow, Flax, ONNX Runtime, OpenVINO and huggingface_hub read what we write, does TensorFlow run our types? makes environments in target/interop, or takes PYTHON523 and PYTHONTF
	$(CARGO) build --locked -p albert-cli
	$(PYTHON) tools/interop.py "$${CARGO_TARGET_DIR:-target}/debug/albert"

fixtures: ## write fixtures/ anew: PYTHON523 and PYTHON457 have PyTorch and that version of transformers, PYTHONTF TensorFlow
	$(PYTHON) tools/make_demo_fixture.py
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_goldens.py; else echo "skipped: tools/make_goldens.py (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_torch_fixtures.py; else echo "skipped: tools/make_torch_fixtures.py (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_quantized_fixture.py; else echo "skipped: tools/make_quantized_fixture.py (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_optimizer_goldens.py; else echo "skipped: tools/make_optimizer_goldens.py (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_gradients.py; else echo "skipped: tools/make_gradients.py (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHONTF)"; then "$(PYTHONTF)" tools/make_container_fixtures.py; else echo "skipped: tools/make_container_fixtures.py (PYTHONTF is not set)"; fi
	@if test -n "$(PYTHONTF)"; then "$(PYTHONTF)" tools/make_dialect_fixtures.py tensorflow; else echo "skipped: tools/make_dialect_fixtures.py tensorflow (PYTHONTF is not set)"; fi
	@if test -n "$(PYTHONTF)"; then "$(PYTHONTF)" tools/make_tensorflow_goldens.py; else echo "skipped: tools/make_tensorflow_goldens.py (PYTHONTF is not set)"; fi
	@if test -n "$(PYTHONFLAX)"; then "$(PYTHONFLAX)" tools/make_dialect_fixtures.py flax; else echo "skipped: tools/make_dialect_fixtures.py flax (PYTHONFLAX is not set)"; fi
	@if test -n "$(PYTHON523)"; then "$(PYTHON523)" tools/make_dialect_fixtures.py torch; else echo "skipped: tools/make_dialect_fixtures.py torch (PYTHON523 is not set)"; fi
	@if test -n "$(PYTHON457)"; then "$(PYTHON457)" tools/make_goldens_457.py; else echo "skipped: tools/make_goldens_457.py (PYTHON457 is not set)"; fi
	@if test -n "$(PYTHON457)" -a -n "$(UTILS_QA)"; then "$(PYTHON457)" tools/make_task_fixtures.py "$(UTILS_QA)"; else echo "skipped: tools/make_task_fixtures.py (PYTHON457 and UTILS_QA are not set)"; fi

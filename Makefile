# Riffle's commands. Each installs what it needs and says what it does.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test emulate fuzz lint bench models torch kafka build compiler soak

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

compiler:
	@scripts/fetch-compiler

build: compiler ## Build the release binary, target/release/riffle
	cargo build --release --locked

models: ## Fetch the reference model and the encoder into models/
	scripts/fetch-models

torch: ## Fetch torch and transformers into .cache/torch (5 GB): with them, make test trains too
	scripts/fetch-torch

demo: compiler models ## Score and curate real text on the CPU, and show what was kept and why (3 minutes)
	cargo build --release --locked --bin riffle --example demo
	scripts/demo

test: compiler models ## Run every test, with a real Kafka broker and kcat, and compile every kernel
	scripts/kafka fetch
	scripts/fetch-kcat
	scripts/fetch-nvrtc
	cargo test --workspace --locked --no-fail-fast
	scripts/test-examples

soak: compiler models ## Stream through faults for RIFFLE_SOAK_SECONDS (600): kills, a dying broker, full disks
	scripts/kafka fetch
	scripts/fetch-kcat
	RIFFLE_SOAK_SECONDS=$${RIFFLE_SOAK_SECONDS:-600} cargo test --locked --test soak -- --nocapture --test-threads=1

emulate: compiler models ## Compile every CUDA kernel, and run it in the emulator; no GPU is needed
	scripts/fetch-nvrtc
	cargo test -p riffle-kernels --lib --locked cuda:: -- --include-ignored

fuzz: compiler ## Look for input that a parser minds, a minute each; SECONDS=600 for longer
	scripts/fuzz $(SECONDS) $(TARGETS)

lint: compiler ## Check formatting, lints and dependencies
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/cargo-deny check

bench: ## Print the README's CPU figures; NAME=select for one bench
	scripts/bench $(NAME)

kafka: ## Run a Kafka broker on 127.0.0.1:9092 to play with, until Ctrl-C
	scripts/kafka run

# What people and machines run. `make help` lists it.
#
# A fresh machine needs: Rust (with rustfmt and clippy), python3 with pip, gcc and g++, make, git; Node.js for the page,
# without which `run` goes on and says so, and `test` does not; Chromium for its tests, which Debian's apt-get fetches. The rest is fetched under target/, or not needed: cargo-nextest and cargo-deny
# are used where they are installed and skipped where not.
# Tests run on Linux, x86_64 or aarch64, as root or not; nothing has to be running.
#
# `run`, `lint` and `test` build the same packages in the same profile (dev), so what one compiled serves the others.

.DEFAULT_GOAL := help
.PHONY: help run page test page-test page-lighthouse page-bench node soak bench fmt lint check models build-tools require test-models

# Where tests and benches find the models, wherever the server of this machine keeps its own.
export TERTULIA_TEST_MODELS_DIR ?= $(abspath target/models)

# Only these tests: make test FILTER=journey
FILTER ?=
# Passed on to the program: make run ARGS="--config my.toml", make bench ARGS="store"
ARGS ?=

target_dir := $(abspath $(or $(CARGO_TARGET_DIR),target))
nextest := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
deny := $(shell cargo deny --version >/dev/null 2>&1 && echo yes)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: models ## build the server and the page, fetch the local model, start it
	scripts/page --or-else
	$(target_dir)/debug/tertulia serve $(ARGS)

page: ## build the page (Node.js); does nothing when nothing has changed
	scripts/page

# Where a test finds no PostgreSQL it fails, instead of passing without having looked.
test soak: export TERTULIA_TEST_REQUIRE_POSTGRES := 1

# nextest does not run the examples in the documentation: `cargo test --doc` does.
test: node lint test-models ## everything that must hold: format, lints, tests on SQLite and PostgreSQL, the page
	cargo build --workspace --bin tertulia
ifeq ($(nextest),yes)
	scripts/test-services run -- cargo nextest run --workspace $(FILTER)
	cargo test --workspace --doc --quiet $(FILTER)
else
	scripts/test-services run -- cargo test --workspace $(FILTER) -- --test-threads=4
endif
ifeq ($(FILTER),)
	$(MAKE) page-test
endif

page-test: node page test-models ## the page: types, lints, Vitest, and Chromium against the server; FILTER chooses there
	cargo build --workspace --bin tertulia --bin upstream
	cd web && npm run --silent check && npm run --silent test && npm run --silent e2e -- $(FILTER)

page-lighthouse: node page ## Lighthouse on the page; fails below 95
	cargo build --workspace --bin tertulia --bin upstream
	web/lighthouse/run

soak: require build-tools test-models ## the long tests: a thousand kills, and the like
	cargo build --workspace --bin tertulia
ifeq ($(nextest),yes)
	TERTULIA_SOAK=1 scripts/test-services run -- \
	  cargo nextest run --workspace --profile soak -E 'package(tests) & test(soak)'
else
	TERTULIA_SOAK=1 scripts/test-services run -- cargo test -p tests -- soak
endif

# In release, and on a PostgreSQL that syncs: figures of anything else would not be those of an installation.
bench: require build-tools test-models ## measure; ARGS chooses what
	cargo build --release -p cli -p testkit -p benches
	PG_DURABLE=1 scripts/test-services run -- target/release/benches $(ARGS)
ifeq ($(ARGS),)
	$(MAKE) page-bench
endif

page-bench: require build-tools node page ## measure the page: opening a long conversation, typing beside an answer
	cargo build --release -p cli -p testkit
	cd web && TERTULIA_PROGRAMS="$(target_dir)/release" npm run --silent bench

fmt: ## format the code
	cargo fmt --all

# cargo-deny's advisories are left out: they change without the code, and need a network.
lint: build-tools ## format, clippy, and licences and bans where cargo-deny is installed
	@scripts/require test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
ifeq ($(deny),yes)
	cargo deny --workspace check bans licenses sources
endif

check: build-tools ## only see whether it compiles
	cargo check --workspace --all-targets

# Where that is depends on arguments, environment and configuration file: the program itself is asked.
models: require build-tools ## fetch the local model to where the server looks for it; ARGS as for run
	cargo build --workspace --bin tertulia
	dir=$$($(target_dir)/debug/tertulia serve $(ARGS) --print-models-dir) && scripts/models "$$dir"

build-tools: require ## fetch what compiles the local model's engine
	scripts/build-tools

require:
	@scripts/require

node:
	@scripts/require node

test-models:
	scripts/models "$(TERTULIA_TEST_MODELS_DIR)"

# Everything a contributor runs. GNU make 3.81 (macOS) or newer; the work itself is cargo's and scripts/'s.

# A login shell that has not been restarted since rustup's installation does not know cargo yet.
CARGO := $(shell command -v cargo 2>/dev/null || echo "$$HOME/.cargo/bin/cargo")

# Seconds for each fuzz target.
TIME ?= 60

# How long the soak takes, in minutes.
MINUTES ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup setup-long demo test test-long soak lint format bench bench-quick fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## install what the demo and the tests need (the other targets do it by themselves)
	@scripts/setup.sh test

setup-long: ## the same, and the Postgres majors of the long run
	@scripts/setup.sh test-long

demo: ## a throw-away Postgres with example data and walcast on http://localhost:4000
	@scripts/setup.sh demo
	$(CARGO) build --release --locked
	@exec $(CARGO) run --release --locked --quiet -- demo

test: ## formatting, lints and every test; at most 20 minutes on two cores
	@scripts/setup.sh test
	@scripts/bundle_graphiql.sh unchanged
	@scripts/bundle_client.sh check
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked

test-long: ## every test on every supported major of Postgres; GraphiQL's bundle is made again and compared
	@scripts/setup.sh test-long
	@scripts/bundle_graphiql.sh check
	WALCAST_TEST_MAJORS=all WALCAST_TEST_SEEDS=60 WALCAST_TEST_LONG=1 $(CARGO) test --locked

soak: ## random faults for MINUTES=30 while an oracle compares what clients hold with SQL; SEED=n repeats a run's faults
	@scripts/setup.sh test
	MINUTES=$(MINUTES) SEED=$(SEED) $(CARGO) test --release --locked --test it -- --ignored --exact --nocapture \
	  soak::whatever_breaks_for_minutes_clients_hold_what_sql_says

lint: ## formatting, lints, licences, banned and duplicate crates, sources
	@scripts/setup.sh lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) deny --locked check --hide-inclusion-graph licenses bans sources

format: ## rewrite the source in its one formatting
	$(CARGO) fmt

bench: ## channels beside their peers, hot paths, GraphQL, live queries; writes docs/benchmarks.md, which tells how to read it
	@scripts/setup.sh bench
	$(CARGO) bench --locked --bench load
	$(CARGO) bench --locked --bench hot_paths
	$(CARGO) bench --locked --bench graphql
	$(CARGO) bench --locked --bench live
	$(CARGO) bench --locked --bench recovery

bench-quick: ## channels beside their peers in seconds: whether it runs, and roughly how it stands
	@scripts/setup.sh bench
	$(CARGO) bench --locked --bench load -- quick

# Coverage needs compiler flags that a stable toolchain accepts only with RUSTC_BOOTSTRAP.
fuzz: ## every fuzz target in turn; TIME=60 is the seconds for each
	@scripts/setup.sh fuzz
	@set -e; for target in `$(CARGO) fuzz list`; do \
	  echo "fuzz: $$target for $(TIME) s"; \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=$(TIME); \
	done

clean: ## remove what was built and what the tests installed; no database and no volume is touched
	$(CARGO) clean
	rm -rf benches/peers/*/node_modules
	rm -rf tests/node_modules tests/clients/node_modules tests/clients/.venv tests/browser/node_modules tests/long/node_modules graphiql/node_modules clients/js/node_modules clients/js/dist

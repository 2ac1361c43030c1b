# What can be done with a checkout. `make test` is everything a change has to pass; `make demo` shows what it is for.

PYTHON ?= python3
VENV ?= build/venv
BIN := $(VENV)/bin
WHEELS := build/wheels
SOURCES := $(shell find rust python -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi') \
	Cargo.toml Cargo.lock pyproject.toml

.PHONY: help venv build install demo test test-rust test-python tsan loom campaign lint format stubs errors bench bench-compare clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

venv: $(VENV)/.ready  ## the virtual environment that everything else uses

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "maturin>=1.16,<2" "click>=8.4" "rich>=13.9" \
		"pytest>=9.0" "pytest-timeout>=2.4" "hypothesis>=6.150" "mypy>=2.0" "ruff>=0.17"
	touch $@

build: $(WHEELS)/.built  ## the release wheel, in build/wheels

$(WHEELS)/.built: $(VENV)/.ready $(SOURCES)
	rm -rf $(WHEELS)
	$(BIN)/maturin build --quiet --release --locked --out $(WHEELS)
	touch $@

install: $(VENV)/.installed  ## the release wheel in the virtual environment

$(VENV)/.installed: $(WHEELS)/.built
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(WHEELS)/*.whl
	touch $@

demo: install  ## a volume on real files: crash, recover, compare, fill, check; under a minute
	$(BIN)/python tools/demo.py

test: lint test-rust test-python  ## everything: lints, Rust tests, Python tests

test-rust:  ## the tests of the Rust crates
	cargo test --locked --workspace --exclude vexfs-python

# ThreadSanitizer needs unstable flags, which the stable compiler takes with RUSTC_BOOTSTRAP.
tsan:  ## data races: the tests with threads under ThreadSanitizer, in a target folder of their own
	RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
	TSAN_OPTIONS="suppressions=$(CURDIR)/tools/tsan.supp" cargo test --locked --target-dir build/tsan \
		--target $$(rustc -vV | sed -n 's/^host: //p') -p vexfs-journal -p vexfs-space -p vexfs-store -p vexfs-fs \
		--lib --test threads --test basics --test names --test space -- thread shared concurrent crew together closed

loom:  ## the models of group commit and of views, under every interleaving, in a target folder of their own
	RUSTFLAGS='--cfg loom' cargo test --locked --release --target-dir build/loom -p vexfs-journal -p vexfs-store \
		--lib loom

CRASHES := cargo test --quiet --locked -p vexfs-check -p vexfs-store --test files --test crash --test model
MODELS := cargo test --quiet --locked -p vexfs-fs --lib --test names model
SECONDS := 600
SEED :=

# Every seed is printed before it runs: `make campaign SEED=n` runs that one again, and no other.
campaign:  ## crash and model tests with ever new seeds, for SECONDS=600 or until one fails; SEED=n replays one
	@end=$$(($$(date +%s) + $(SECONDS))); \
	while [ $$(date +%s) -lt $$end ]; do \
		seed=$(SEED); seed=$${seed:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
		echo "seed $$seed"; export VEXFS_SEED=$$seed PROPTEST_RNG_SEED=$$seed; \
		if ! found=$$($(CRASHES) 2>&1 && $(MODELS) 2>&1); then \
			echo "$$found"; echo "seed $$seed fails: make campaign SEED=$$seed"; exit 1; \
		fi; \
		if [ -n "$(SEED)" ]; then break; fi; \
	done

test-python: install  ## the tests of the Python package, on the release wheel
	$(BIN)/pytest -q

lint: install  ## clippy, rustfmt, ruff, mypy on the package and its stubs
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format:  ## format everything
	cargo fmt --all
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

stubs: install  ## write the docstrings of the module into its stubs
	$(BIN)/python tools/stubs.py

errors: install  ## write docs/errors.md from the crates
	$(BIN)/python tools/errors.py

BENCH_VENV := build/venv-bench
RIVALS := cargo build --quiet --release --manifest-path benches/rivals/Cargo.toml --target-dir build/rivals

bench: install  ## our own figures; BENCH="--quick --area commit --json FILE" chooses
	$(RIVALS) --no-default-features
	$(BIN)/python -m benches $(BENCH)

bench-compare: $(BENCH_VENV)/.installed  ## our figures beside those of other stores, each with its bar; 15 minutes
	$(RIVALS)
	$(BENCH_VENV)/bin/python -m benches --compare $(BENCH)

$(BENCH_VENV)/.installed: $(WHEELS)/.built
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check "click>=8.4" "rich>=13.9" "lmdb>=1.6" \
		"rocksdict>=0.3.24"
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(WHEELS)/*.whl
	touch $@

clean:  ## remove what was built, but for cargo's target folder
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

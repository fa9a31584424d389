# `make demo` shows what the package does; `make ci` is everything that a change must pass. Budget of each target on two
# cores, without the installation of packages:
#   lint 1 min   demo 3 min   test 10 min   parity-ci 3 min   image 3 min   image-test-quick 4 min (image-test 10 min more)
#   browser-test 2 min   chaos-ci 6 min (chaos 25 min)   pool-test-ci 15 min (pool-test 25 min)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
# To choose the interpreter (default: the first suitable one): make setup PYTHON=/usr/bin/python3.11
export PYTHON ?=

UV_VERSION := 0.13.9
COMPILE := build/uv/bin/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --no-header --quiet

# The planes that parity images in CI. The lowest and the highest are among them, so that the positions and the common
# beam are those of all planes.
PLANES := 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
CI_PLANES := 2,5,10,17

POOL := condor/pool/pool.py $(if $(SUITE),--suite $(SUITE))

.PHONY: help setup lock lint demo test recover parity parity-ci browser-test bench image image-test image-test-quick \
	pool pool-down pool-test pool-test-alone pool-test-newest pool-test-ci chaos chaos-ci rehearsal ci clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## install all that demo, tests and linters need into .venv (PYTHON=... names the interpreter)
	@tests/setup.sh

lock: ## update the locked requirements to match pyproject.toml (UPGRADE=1: newest versions)
	@mkdir -p build && { test -x build/uv/bin/uv || python3 -m venv build/uv; }
	@build/uv/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra casa --extra htcondor --extra dev \
		--universal --python-version 3.11 -o tests/requirements.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra casa \
		--python-version 3.13 --python-platform x86_64-manylinux_2_40 -o container/requirements.txt

lint: setup ## check style, types, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## run the fast tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow and not parity and not pool and not container and not browser"

demo: setup ## simulate a square degree, image it, and print how well it was recovered
	@test -f build/demo/job.yaml || { rm -rf build/demo; $(BIN)/ccip-batch simulate build/demo --preset demo >/dev/null; }
	@$(BIN)/ccip-batch run build/demo/job.yaml --run-dir build/demo/run
	@$(BIN)/python -m ccip_batch.simulate.recovery build/demo/run/products build/demo/truth.json
	@echo "FITS files: build/demo/run/products"
	@echo "The report: build/demo/run/report/index.html; the command is $(BIN)/ccip-batch"

recover: setup ## compare three simulated skies with their FITS files
	$(BIN)/pytest -m slow -s tests/simulate/test_recovered_truth.py tests/cube

parity: setup ## compare the products with those of NRAO's pipeline (PLANES=2,5 images only these)
	CCIP_PARITY_PLANES=$(PLANES) $(BIN)/pytest -m parity -s tests/parity

parity-ci: setup
	CCIP_PARITY_PLANES=$(CI_PLANES) $(BIN)/pytest -m parity -s tests/parity

browser-test: setup ## open reports of three real runs in a headless browser
	@tests/browser/setup.sh
	$(BIN)/pytest -m browser tests/browser

bench: setup ## measure; nothing passes or fails
	$(BIN)/python tests/bench/bench.py

image: setup ## build build/ccip-<version>.sif and its SBOM; print what takes how much space (BASE=auto, docker or debian)
	@$(BIN)/python container/build.py --base $(or $(BASE),auto)

image-test: image ## run all tests of the image
	$(BIN)/pytest -m container tests/container

image-test-quick: image ## run the tests of the image, without a second build and the pool
	$(BIN)/pytest -m "container and not slow" tests/container

pool: ## start a personal HTCondor pool on this machine (SUITE=sid: with the HTCondor of that Debian release)
	@$(POOL) job-python
	@$(POOL) up

pool-down: ## stop the personal HTCondor pool (SUITE=sid: that one)
	@$(POOL) down

# Side by side, except for tests that restart or fill what the others use. These come afterwards, one by one; they wait
# for HTCondor most of the time, so what is marked `both` runs beside them in a pool of the newest HTCondor.
pool-test: setup ## run jobs and faults in pools of the tests' own, of HTCondor 23.9 and 25.14
	CCIP_POOL_TEST=1 $(BIN)/pytest -n 3 --dist worksteal -m "pool and not alone $(AND)" tests/pool
	@$(MAKE) --no-print-directory -j 2 --output-sync=target pool-test-alone pool-test-newest

pool-test-alone:
	CCIP_POOL_TEST=1 $(BIN)/pytest -m "pool and alone $(AND)" tests/pool

pool-test-newest:
	CCIP_POOL_TEST=1 CCIP_POOL_SUITE=sid $(BIN)/pytest -n 3 --dist worksteal -m "pool and both $(AND)" tests/pool

pool-test-ci: export AND := and not slow
pool-test-ci: pool-test

chaos: setup ## cause faults of every kind (docs/faults.md): SEED=2 draws other moments, COUNT=50 kills
	$(BIN)/python tests/chaos/chaos.py --seed $(or $(SEED),1) --count $(or $(COUNT),50)

chaos-ci: setup
	$(BIN)/python tests/chaos/chaos.py --short --seed $(or $(SEED),1)

rehearsal: setup ## three hours, 24 GB: a quarter of a square degree at real size in a pool of its own (SIZE=small: minutes)
	$(BIN)/python tests/rehearsal/rehearsal.py $(or $(SIZE),full) $(if $(DATA),--data $(DATA)) $(if $(PLAIN),--plain) $(if $(RESUME),--resume)

ci: lint test browser-test pool-test-ci chaos-ci image-test-quick parity-ci ## everything that a change must pass

clean: ## remove everything that was built; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

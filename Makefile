# Every target sets itself up: Python >= 3.11 with pip is all that has to be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.runlore-installed
FUZZ_READY := $(VENV)/.fuzz-installed

# `make test-ray`: Ray has 60 packages, of which runlore needs none.
RAY_VENV ?= .ray-venv
RAY_VERSION := 2.60.0
RAY_READY := $(RAY_VENV)/.installed-$(RAY_VERSION)

# `make fuzz`: of each target, and how many at a time.
FUZZ_SECONDS ?= 300
FUZZ_JOBS ?= 1

# Where `make check` looks for tests.
CHECKED := $(addprefix tests/,architecture azure configuration contracts domain engine entry)
CHECKED += $(addprefix tests/,execution face run storage)

# Whose types deno checks, as deno.json says.
SCRIPTS := src/runlore/studio/static tests/studio/browser/units

# `make chaos`: for how long, and which bad luck.
CHAOS_SECONDS ?= 600
CHAOS_SEED ?= 0

# `make mutants`: how many, and which.
N ?= 120
SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: demo demo-postgres demo-slurm demo-ray studio-demo studio-pictures check test test-long test-postgres test-slurm test-ray explore chaos cuts fuzz mutants lint house format bench bench-peers bench-scale docs help clean

demo: $(READY) ## Track a real training and query it
	$(BIN)/python examples/demo.py

demo-postgres: $(READY) ## The same in PostgreSQL, on a server that it starts
	PYTHONPATH=. $(BIN)/python examples/demo_postgres.py

demo-slurm: $(READY) ## Its submitted scripts here, in a pool, and on a Slurm that it starts; as root, on Debian
	$(BIN)/python -m tests.slurm.cluster $(BIN)/python examples/demo_targets.py local pool slurm

demo-ray: $(READY) $(RAY_READY) ## The same on a Ray head that it starts
	RUNLORE_RAY=$(abspath $(RAY_VENV))/bin/ray $(BIN)/python -m tests.ray.head $(BIN)/python examples/demo_targets.py local pool ray

studio-demo: $(READY) ## Show the workspace of `make demo` in a browser
	@test -e demo-output/workspace || $(BIN)/python examples/demo.py
	$(BIN)/runlore studio -w demo-output/workspace

check: $(READY) ## Check style and imports, run the tests that start no process; in a minute
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/biome check
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n 2 -m "not processes and not slow and not on_disk" --hypothesis-profile=check $(CHECKED)

test: $(READY) ## Run the doctests, then the tests; ten minutes
	$(BIN)/pytest --doctest-modules src
	$(BIN)/pytest -n 3 -m "not long" --hypothesis-profile=short  # On two cores: many wait for others.

test-long: $(READY) ## Run the tests that `make test` leaves out, and property tests with all their examples
	$(BIN)/pytest -n 2 -m "long or hypothesis"

test-slurm: $(READY) ## Run the tests of submitted runs on a Slurm that it starts; as root, on Debian
	$(BIN)/python -m tests.slurm.cluster $(BIN)/pytest -q -n 2 --dist loadfile tests/slurm

test-ray: $(READY) $(RAY_READY) ## Run the tests of submitted runs on Ray heads that they start
	RUNLORE_RAY=$(abspath $(RAY_VENV))/bin/ray $(BIN)/pytest -q tests/ray

test-postgres: $(READY) ## Run the tests of the SDK on workspaces in PostgreSQL, also behind a pooler and while the server is away; `make test` has those of the log
	RUNLORE_TEST_POSTGRES=1 $(BIN)/pytest -q -n 2 -k "postgres" --ignore=tests/postgres
	RUNLORE_TEST_POSTGRES=1 $(BIN)/pytest -q -n 2 tests/postgres/services

explore: $(READY) ## Give the property tests examples that they have not seen
	$(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile=explore

chaos: $(READY) ## Let 40 processes of one workspace have bad luck for ten minutes, and count what is lost
	$(BIN)/python -m tests.chaos.soak --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED)

cuts: $(READY) ## Stop a machine at every byte and call of a small workload; minutes
	RUNLORE_ALL_CUTS=1 $(BIN)/python -m pytest -q tests/chaos/test_power_cuts.py

fuzz: $(FUZZ_READY) ## Fuzz what reads strangers' bytes; 5 minutes for each of FUZZ_TARGETS
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS) $(FUZZ_TARGETS)

mutants: $(READY) ## Change the code in N places chosen by SEED, one at a time: do the tests notice?
	nice $(BIN)/python -m tests.mutants --n $(N) --seed $(SEED)

lint: $(READY) ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/biome check
	DENO_NO_UPDATE_CHECK=1 $(BIN)/deno check --no-remote $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

house: $(READY) ## Show rooms, arrows between them, circles and private uses
	$(BIN)/python -m tests.architecture.house $(ROOT)

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/biome check --write

bench: $(READY) ## Run the benchmarks
	$(BIN)/python -m benchmarks

bench-peers: $(READY) ## Measure other trackers beside runlore, each in its own environment
	$(BIN)/python -m benchmarks.peers

bench-scale: $(READY) ## Draw how costs grow with runs and points
	$(BIN)/python -m benchmarks.scale --peers

studio-pictures: $(READY) ## Make the pictures of docs/studio.md anew
	$(BIN)/python -m tests.studio.browser.pictures

docs: $(READY) ## Run every example of the README and the docs
	$(BIN)/pytest tests/docs

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

clean: ## Remove environments, builds, caches and what the demo wrote
	rm -rf .venv .ray-venv .bench-venvs build dist src/*.egg-info *.egg-info
	rm -rf .runlore demo-output benchmark-output fuzz-output
	rm -rf .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.git -prune -o -name __pycache__ -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,demo]'
	touch $@

$(RAY_READY):
	$(PYTHON) -m venv --clear $(RAY_VENV)
	$(RAY_VENV)/bin/pip install --quiet --disable-pip-version-check 'ray[default]==$(RAY_VERSION)'
	touch $@

# Only wheels: nobody who fuzzes should have to build a compiler's runtime first.
$(FUZZ_READY): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --only-binary atheris -e '.[fuzz]'
	touch $@

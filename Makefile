# Everything through .venv, nothing to activate. `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python -m
CODE := flows infra models render tasks tests
# Processes that run tests: one more than two cores, since many tests wait for processes that they have started.
WORKERS ?= 3
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Stages are started as `python -m flows stage NAME`: that python is the environment's.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo demo-s3 test test-all test-hard check format ui plan doctor docs audit licences wheel bench-download bench-render bench-scale bench-scaling bench-cost bench-mechanisms bench-model bench-times bench-train bench-checkpoints bench-evaluate bench-aesthetic bench-reconstruct bench-catalog bench-shapes bench-serve bench-browse browser study small-model ci clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

bootstrap: ## create or update .venv (at once when nothing changed)
	@$(PYTHON) infra/setup/bootstrap.py

demo: bootstrap ## objects to trained model to report at toy size, on a laptop without a GPU
	.venv/bin/dvc repro
	@$(RUN) flows tag-runs
	@$(RUN) flows results

demo-s3: bootstrap ## the demo through S3, whose server is killed again and again (half an hour; ARGS="--like CHECKOUT" compares with a run of `make demo`)
	$(RUN) tests.e2e.through_s3 $(ARGS)

browser: ## install the browser that drives the pages in tests (Debian's chromium, as root)
	@$(PYTHON) infra/setup/browser.py

test: bootstrap ## every test but the nightly ones, as CI runs them
	$(RUN) pytest $(PARALLEL) -m "not nightly" --durations=20 --cov

test-all: bootstrap ## every test, also what takes minutes: trainings to the end, networks of full size, benchmarks
	$(RUN) pytest $(PARALLEL) --durations=20

test-hard: bootstrap ## the tests beside four busy loops, with each instruction set (hours; ARGS="--runs 3")
	$(RUN) tests.bench.hardship --capabilities native default avx2 $(ARGS) -- $(PARALLEL) -m "not nightly"

check: bootstrap ## before a commit: format, lint, types, import rules, fast tests
	.venv/bin/ruff format --check $(CODE)
	.venv/bin/ruff check $(CODE)
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(RUN) pytest -q $(PARALLEL) -m "not slow and not blender and not e2e and not gpu"

format: bootstrap ## put the code into the house's shape
	.venv/bin/ruff format $(CODE)
	.venv/bin/ruff check --fix $(CODE)

ui: bootstrap ## browse the runs (MLflow) and the flows (Prefect)
	$(RUN) flows ui

plan: bootstrap ## what would run, and why
	@$(RUN) flows plan

doctor: ## check this machine, with a remedy for everything that is missing
	@if [ -e .venv/bootstrap.stamp ]; then $(RUN) flows doctor; else $(PYTHON) -m infra.setup.doctor; fi

docs: bootstrap ## build the site of the documentation into site/, with warnings as errors; needs no network
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --quiet --strict

audit: bootstrap ## ask for known faults of the pinned packages (needs network: the advisories of PyPI)
	.venv/bin/pip-audit --requirement requirements.txt --disable-pip --no-deps --progress-spinner off $(ARGS)

licences: bootstrap ## write sbom.json (CycloneDX): every installed package with its licence; needs no network
	$(RUN) infra.setup.bill_of_materials sbom.json

wheel: bootstrap ## build the package into dist/
	.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

bench-render: bootstrap ## cost and quality of rendering, beside others' settings (an hour; ARGS=... for less)
	$(RUN) tests.bench.render $(ARGS)

bench-download: bootstrap ## CPU time of downloading small objects, beside objaverse's downloader and plain pools (2 minutes)
	$(RUN) tests.bench.download $(ARGS)

bench-scale: bootstrap ## what the stages cost beside the work itself for 10,000 to 180,000 objects (15 minutes of one core, 12 GB; ARGS="--objects 10000")
	$(RUN) tests.bench.scale $(ARGS)

bench-scaling: bootstrap ## objects per minute of two workers beside one (5 minutes)
	$(RUN) tests.bench.scaling $(ARGS)

bench-cost: bootstrap ## what the paper's network costs on paper: parameters, FLOPs, memory
	$(RUN) tests.bench.model_cost $(ARGS)

bench-mechanisms: bootstrap ## what letting views see each other costs, by mechanism: FLOPs, memory
	$(RUN) tests.bench.mechanism_cost

bench-model: bootstrap ## a step of the network beside others' attention (ARGS="--device cuda --width full --side 64")
	$(RUN) tests.bench.model $(ARGS)

bench-times: bootstrap ## what a card does at the paper's size: 32 views, a training sample, attention, encoding, checkpoint (10 minutes; ARGS="--rows attention")
	$(RUN) tests.bench.paper_times $(ARGS)

bench-train: bootstrap ## samples per second of the training loop and of its data (ARGS="--device cuda --width full --side 64")
	$(RUN) tests.bench.train $(ARGS)

bench-checkpoints: bootstrap ## how long a training waits for its checkpoints (a minute; ARGS="--gb 13.9 --device cuda")
	$(RUN) tests.bench.checkpoints $(ARGS)

bench-evaluate: bootstrap ## CPU seconds of scoring one object, and minutes for 30 objects in 15 cases (a minute)
	$(RUN) tests.bench.evaluate $(ARGS)

bench-aesthetic: bootstrap ## images per second of the aesthetic predictor (a minute; ARGS="--device cuda --precision bf16")
	$(RUN) tests.bench.aesthetic $(ARGS)

bench-reconstruct: bootstrap ## meshes from true views: hull beside SDF fits (10 minutes; ARGS="--folder gso-eval --look look.png")
	$(RUN) tests.bench.reconstruct $(ARGS)

bench-serve: bootstrap ## throughput and latency of serve-model against offered load, with batches and without (8 minutes; ARGS="--model models_out/stage3")
	$(RUN) tests.bench.serve $(ARGS)

bench-browse: bootstrap ## start and searches of the data browser with 180,000 objects (10 minutes, 12 GB; ARGS="--objects 10000")
	$(RUN) tests.bench.browse $(ARGS)

bench-catalog: bootstrap ## CPU seconds and memory of catalog and select with 800,000 objects (5 minutes; ARGS="--objects 80000")
	$(RUN) tests.bench.catalog_scale $(ARGS)

bench-shapes: bootstrap ## how far shapes of different objects, and of changed copies, are apart (3 minutes; ARGS="assets --tested gso-eval")
	$(RUN) tests.bench.shapes $(ARGS)

study: bootstrap ## variants x seeds x budgets compared; by itself what the parts are worth (hours; ARGS="my.yaml --jobs 2")
	$(RUN) tests.bench.study $(ARGS)

small-model: bootstrap ## a small model of a folder of real objects, for `sample --model` (two hours; FOLDER=objects OUT=models_out/small)
	$(RUN) tests.bench.study tests/bench/studies/real.yaml --seeds 0 --folder "$(or $(FOLDER),$(error name a folder of 3D objects: make small-model FOLDER=...))" --release $(or $(OUT),models_out/small) $(ARGS)

ci: ## what continuous integration runs
	bash .ci/run

clean: ## remove caches; data, models and unfinished work stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

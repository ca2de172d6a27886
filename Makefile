# Everything a person or CI does here, by name. `make` alone prints this list.
# Needs GNU make and Python 3.11 or newer; nothing else. Works as root and as anybody.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
# Without bytecode each process, and each service has several, compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PY := $(VENV)/bin/python
UV_VERSION := 0.13.9
# Compose is a plugin of docker, or a program of its own in older distributions.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

SERVICES := catalogue enrolment notifier
SBOMS := $(SERVICES:%=.local/sbom/%.cdx.json)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PYTHON_IMAGE = $(shell sed -n 's/^x-python: //p' deploy/pinned-images.yml)
IMAGE = docker build --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg COMMIT=$(shell git rev-parse HEAD) \
    --label org.opencontainers.image.version=$(VERSION)

# What `make run`, `make demo`, `make year` and `make rehearsal` hand on.
BROKER ?=
SCALE ?=
AS_ANNOUNCED ?=
ARGS ?=
stack-options = $(if $(BROKER),--broker $(BROKER)) $(if $(SCALE),--scale "$(SCALE)") $(ARGS)

.PHONY: help
help: ## Print this list (the default)
	@echo 'Parcours. make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Options: BROKER=kafka or embedded (demo, run, year, rehearsal: Apache Kafka needs Java 17 and Maven), SCALE="enrolment=3 notifier=2"'
	@echo '(run, up), ARGS="…" (demo, year, rehearsal, run, test, audit, faults, proof, sequences, fuzz, mutants, bench: handed on), PYTHON=/path/to/python (to build .venv with).'

# ---------------------------------------------------------------------------------------------- use it

.PHONY: demo
demo: $(VENV)/.local-ready ## Start everything, play a day of enrolments, check every seat and mail, stop
	$(PY) -m local demo $(stack-options)

.PHONY: year
year: $(VENV)/.local-ready ## Play a whole year on a moved clock, on each broker, and check what everybody hears (Debian: faketime)
	$(PY) -m local year $(if $(BROKER),--broker $(BROKER)) $(ARGS)

.PHONY: rehearsal
rehearsal: $(VENV)/.local-ready ## Play the country's first hour and write a page of results (ARGS="--size 0.1": a tenth)
	$(PY) -m local rehearsal $(stack-options)

.PHONY: run
run: $(VENV)/.local-ready ## Start everything and stay up; Ctrl-C stops it (AS_ANNOUNCED=1: the dates of 2025)
	$(PY) -m local run $(if $(AS_ANNOUNCED),--as-announced) $(stack-options)

# The profiles of docker-compose.yml: those of .env, else the demo.
PROFILES ?= $(shell cat .env 2>/dev/null | awk -F= '$$1 == "COMPOSE_PROFILES" {named = 1; print $$2} END {if (!named) print "demo"}')
# As many containers of each service as there are: without it `up` leaves one of each. SCALE counts more.
scales = $(foreach service,$(SERVICES),$(service)=$(shell $(COMPOSE) ps --all --quiet $(service) | wc -l | sed 's/^0$$/1/')) $(SCALE)
wait = $(shell $(COMPOSE) up --help 2>/dev/null | grep -q -e '--wait ' && echo --wait)

# Two steps: in one, the four services of an image get four builds of it, and the next `up` replaces them all. The image
# of commands too, which nothing starts: after an upgrade it would stay that of before.
.PHONY: up
up: compose-is-here
up: export COMPOSE_PROFILES = $(PROFILES)
up: export PARCOURS_COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
up: ## The same with Docker, until all is healthy (PROFILES=demo,observability, or nothing; SCALE)
	COMPOSE_PROFILES=commands,$(PROFILES) $(COMPOSE) build
	$(COMPOSE) up --detach $(wait) $(patsubst %,--scale %,$(scales))
	@$(COMPOSE) ps

.PHONY: down
down: compose-is-here
down: export COMPOSE_PROFILES = demo,observability,archive
down: ## Stop what `make up` started; its data stays (docker compose down --volumes removes it)
	$(COMPOSE) down

.PHONY: compose-is-here
compose-is-here:
	@$(COMPOSE) version >/dev/null 2>&1 || { \
	    echo 'Docker with its plugin compose (or docker-compose) is missing. `make run` needs neither.' >&2; exit 1; }

# ------------------------------------------------------------------------------------------ work on it

.PHONY: test
test: $(VENV)/.dev-ready ## Run every test, side by side (ARGS="-k waiting_list" for some)
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: pictures
pictures: $(VENV)/.dev-ready ## Write the pictures of README.md anew, in docs/pictures
	$(PY) -m pytest -q tests/browser/pictures.py

.PHONY: check
check: $(VENV)/.dev-ready .local/audit/.ready ## Lint, format, types, import contracts, Dockerfile, contract and migration drift
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	.local/audit/bin/hadolint Dockerfile
	$(PY) -m services.contracts check
	$(PY) -m services.register check
	$(PY) -m services.deployment check
	$(PY) -m tests.support.migration_drift

.PHONY: audit
audit: .local/audit/.ready $(VENV)/.dev-ready ## Ask whether a locked package has a known vulnerability; fails where it cannot ask
	$(PY) -m tests.support.audit .local/audit/bin/pip-audit $(ARGS)

.PHONY: chart
chart: .local/chart/.ready $(VENV)/.dev-ready ## Check the Helm chart for each of its files of values
	$(PY) -m tests.support.chart .local/chart/bin

.PHONY: sbom
sbom: $(SBOMS) ## Write what each image is made of to .local/sbom, in CycloneDX JSON with licences

.PHONY: images
images: $(SBOMS) ## Build the images with Docker; their labels name version, commit, and what make sbom wrote by its SHA-256
	@for service in $(SERVICES); do \
	    sum=$$(sha256sum .local/sbom/$$service.cdx.json | cut -c 1-64); \
	    $(IMAGE) --target $$service --tag parcours-$$service:$(VERSION) --label parcours.sbom.sha256=$$sum . || exit 1; \
	done
	$(IMAGE) --target console --tag parcours-console:$(VERSION) .

.PHONY: licences
licences: $(VENV)/.dev-ready ## Write docs/licences.md anew, after a change of dependencies
	$(PY) -m tests.support.licences

.PHONY: places
places: $(VENV)/.dev-ready ## Write the communes of France anew, from their published packages (needs npm)
	$(PY) -m tests.support.places

.PHONY: format
format: $(VENV)/.dev-ready ## Format the code and mend what can be mended safely
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

.PHONY: contracts
contracts: $(VENV)/.dev-ready ## Write docs/asyncapi, docs/refusal-reasons.md, docs/personal-data.md, the example portal's labels and deployment files anew from the code
	$(PY) -m services.contracts write
	$(PY) -m services.register write
	$(PY) -m services.deployment write

.PHONY: faults
faults: $(VENV)/.dev-ready ## Kill and cut things on purpose: a part of `make proof`
	$(PY) -m tests.proof --only faults $(ARGS)

HOURS ?=
.PHONY: proof
proof: $(VENV)/.dev-ready ## Check every promise of docs/reliability.md under faults on Apache Kafka; writes .local/proof.json (HOURS=8)
	$(PY) -m tests.proof $(if $(HOURS),--hours $(HOURS)) $(ARGS)

.PHONY: sequences
sequences: $(VENV)/.dev-ready ## Play enrolment at random ten thousand times (ARGS="--seed N" to play a run again)
	$(PY) -m tests.sequences $(ARGS)

.PHONY: mutants
mutants: $(VENV)/.dev-ready ## Break the product in 60 places and check that the tests catch it (ARGS="--seed N" for others)
	$(PY) -m tests.mutants $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev-ready .local/fuzz/.ready ## Look ten minutes for inputs that break a parser, guided by coverage (ARGS="--seconds 60", "--target form")
	PYTHONPATH=$$(echo .local/fuzz/lib/python*/site-packages) $(PY) -m tests.fuzz $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev-ready ## Measure the speeds; writes .local/bench.json
	$(PY) -m tests.benchmarks $(ARGS)

.PHONY: clean
clean: ## Remove .venv, .local (with the databases of `make run`) and caches
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find services shared local tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# -------------------------------------------------------------------------------------- the environment
# One .venv, from the hash-pinned lock. The demo needs less of it than the tests, so it waits for less.

.PHONY: venv
venv: $(VENV)/.dev-ready ## Build .venv with everything for working here

pip-install = -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes

# The first Python that runs, is new enough, and can make a virtual environment.
$(PY):
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        echo "Building $(VENV) with $$("$$python" --version) ($$python)"; \
	        "$$python" -m venv $(VENV) || exit 1; \
	        exec $(PY) $(pip-install) -r requirements/pip.txt; \
	    fi; \
	done; \
	echo 'No usable Python found: Parcours needs Python 3.11 or newer with its venv module.' >&2; \
	echo 'On Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python …' >&2; \
	exit 1

# pip compiles one file after the other; compileall uses every core, and compiles the project too, but not the folders
# of packages of which little or nothing is ever imported: a third of all code.
never-imported = /(pip|setuptools|pkg_resources|lexers|countries|stdnum|dns)/
define install
	@echo "Installing $(1) (hashes checked)"
	@$(PY) $(pip-install) -r $(1)
	@$(PY) -m compileall -q -j 0 -x '$(never-imported)' $(VENV)/lib services shared local
endef

$(VENV)/.local-ready: requirements/local.txt | $(PY)
	$(call install,$<)
	@touch $@

$(VENV)/.dev-ready: requirements/dev.txt pyproject.toml | $(PY)
	$(call install,$<)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.local-ready $@

# What looks at packages, and at the chart, has many of its own: they stay out of .venv.
.local/audit/.ready .local/chart/.ready .local/fuzz/.ready: .local/%/.ready: requirements/%.txt | $(PY)
	@echo "Installing $< (hashes checked)"
	@$(PY) -m venv --without-pip .local/$*
	@$(PY) -m pip --python .local/$* install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The packages of one service alone, as its image has them, then what they are. Without times and random ids, the same
# packages give the same file.
.local/sbom/%.cdx.json: requirements/%.txt .local/audit/.ready
	@echo "Looking at the packages of $*"
	@rm -rf .local/sbom/$*
	@$(PY) -m venv --without-pip .local/sbom/$*
	@$(PY) -m pip --python .local/sbom/$* install --quiet --disable-pip-version-check --require-hashes -r $<
	@.local/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file $@ .local/sbom/$*
	@rm -rf .local/sbom/$*

# ----------------------------------------------------------------------------------------------- the lock
# dev holds everything, so it is solved first and the others are held to its versions.

COMPILE = .local/uv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'make lock' $(LOCK_ARGS)
LOCK = $(COMPILE) pyproject.toml

.PHONY: lock
lock: .local/uv/bin/uv ## Pin the dependencies anew (LOCK_ARGS=--upgrade for newer versions)
	$(LOCK) --extra dev --group build -o requirements/dev.txt
	@for extra in catalogue enrolment notifier local; do \
	    echo "requirements/$$extra.txt"; \
	    $(LOCK) --extra $$extra --constraint requirements/dev.txt -o requirements/$$extra.txt || exit 1; \
	done
	@for group in audit chart fuzz pip; do \
	    echo "requirements/$$group.txt"; \
	    $(COMPILE) --python-version 3.11 --group $$group -o requirements/$$group.txt || exit 1; \
	done

.local/uv/bin/uv: | $(PY)
	$(PY) -m venv .local/uv
	.local/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

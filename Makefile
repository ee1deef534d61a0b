# What a newcomer needs: `make demo` and `make test`. Everything runs in .venv, built from the hashed lock.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

POSTGRES15 := /usr/lib/postgresql/15/bin/postgres

.PHONY: setup postgres15 demo test quick check planted bench docs lock clean

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

setup: .venv/ready ## build the environment

postgres15: ## the oldest PostgreSQL we run on, for the tests: Debian's package, without the cluster that it would start
	@test -x $(POSTGRES15) || { \
		if command -v apt-get >/dev/null; then \
			sudo=; test "$$(id -u)" = 0 || sudo=$$(command -v sudo); \
			no_cluster=/etc/postgresql-common/createcluster.d/regulars.conf; \
			$$sudo mkdir -p $${no_cluster%/*} && echo "create_main_cluster = false" | $$sudo tee $$no_cluster >/dev/null && \
			$$sudo apt-get update -qq && \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15; \
			$$sudo rm -f $$no_cluster; \
		fi; \
		test -x $(POSTGRES15) || { echo "The tests run on PostgreSQL 15 too: please install it, so that $(POSTGRES15) is there" \
			"(apt-get install postgresql-15 on Debian 12; elsewhere from apt.postgresql.org)." >&2; exit 1; }; \
	}

demo: setup ## a small real shop under a points programme
	$(BIN)/regulars demo $(ARGS)

test: check postgres15 ## everything that CI runs
	$(BIN)/python -m pytest -n auto $(ARGS)
	$(BIN)/python tests/planted/run.py

quick: setup postgres15 ## units and laws, in seconds
	$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

check: setup ## style, types, layers, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

planted: setup ## each planted bug must turn its law's test red
	$(BIN)/python tests/planted/run.py $(ARGS)

bench: setup ## benchmarks, one JSON line each; ONLY=name for one
	$(BIN)/python bench/run.py $(ONLY)

docs: setup ## write the generated pages anew
	$(BIN)/python docs/generate.py

lock: setup ## resolve the dependencies anew, with hashes and without index addresses
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header \
		--output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv

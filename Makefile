# Everything runs in .venv, which each goal makes by itself. System packages are asked for by tests/system-packages:
# as root it installs what is missing through apt-get, otherwise it says the line to run.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := .cache/node
JASMIN := .cache/jasmin
JOBS ?= 4
SECONDS ?= 60
MINUTES ?= 30

.PHONY: demo check test bench fuzz soak clean

# The main job on the embedded default, from call records to receipts, in under a minute.
demo: $(VENV)/.installed
	$(BIN)/python tests/demo.py

# Format, lint, types and unit tests: in seconds.
check: $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 tests/unit tests/test_layers.py tests/test_docs.py

# Everything: as check, and against real servers, real SMSCs and real processes.
test: $(VENV)/.tools $(VENV)/.mysql $(NODE)/.installed $(JASMIN)/.installed
	tests/system-packages servers
	tests/unpack-asterisk
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	IXXSMS_TEST_NODE=$(CURDIR)/$(NODE) IXXSMS_TEST_JASMIN=$(CURDIR)/$(JASMIN) \
		$(BIN)/pytest -q -n $(JOBS) tests

# What claims of speed rest on, each beside its peers; results and plots go to benchmarks/results.
bench: $(VENV)/.bench $(VENV)/.mysql $(NODE)/.installed $(JASMIN)/.installed
	tests/system-packages servers
	tests/unpack-asterisk
	for name in smpp campaign harvest million agi scale; do $(BIN)/python benchmarks/$$name.py --json || exit 1; done

# Hostile input, SECONDS for each target; what is learnt is kept in .cache/fuzz.
fuzz: $(VENV)/.tools
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS)

# Mixed work for MINUTES, with an eye on the daemon's memory and open files.
soak: $(VENV)/.tools
	$(BIN)/python tests/soak.py --minutes $(MINUTES)

$(VENV)/.installed: setup.cfg pyproject.toml
	tests/system-packages venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,postgresql]'
	touch $@

$(VENV)/.mysql: $(VENV)/.tools
	tests/system-packages mysqlclient
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mysql]'
	touch $@

$(VENV)/.bench: $(VENV)/.tools
	tests/system-packages mysqlclient  # a compiler, for the sink
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

$(NODE)/.installed: tests/peers/package.json
	tests/system-packages node
	mkdir -p $(NODE)
	cp tests/peers/package.json $(NODE)/
	npm install --prefix $(NODE) --no-audit --no-fund --loglevel=error
	touch $@

# It needs old packages, so it has an environment of its own. Where it cannot be installed its tests are skipped, with
# what pip said, and the next time it is tried again.
$(JASMIN)/.installed: tests/peers/jasmin.txt | $(VENV)/.installed
	rm -rf $(JASMIN)
	$(PYTHON) -m venv $(JASMIN)
	@if $(JASMIN)/bin/pip install --disable-pip-version-check -r $< >$(JASMIN)/failed 2>&1; \
	then mv $(JASMIN)/failed $@; else echo "Jasmin cannot be installed:"; tail -n 3 $(JASMIN)/failed; fi

clean:
	rm -rf $(VENV) .cache build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

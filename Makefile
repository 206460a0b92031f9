# make demo [ARGS=--check]   one process with everything in it, on loopback
# make test [ARGS=tests.wire] every test; the last line reads `N passed, N failed, N skipped`
# make test-fleet            the deployment on systemd hosts that it boots here (root, Debian): about half an hour
# make faults                the table of docs/recovery.md: what breaks on such hosts under load (ROWS="stop-edge link-10")
# make check | fmt | bench | clean
# make fresh                 demo, test and check on a fresh Debian tree that it makes (root, Debian)
# make refresh               moves the pinned versions of all packages on, and says what moved
# make test-lowest           every test with the lowest versions that pyproject.toml declares, in an environment of its own
#
# Each target installs what it needs by itself: Python packages into .venv, in the versions of constraints/, for tests
# also Debian packages when run as root. The stamps in .venv make the second run instant.

VENV ?= .venv
PY := $(VENV)/bin/python
CODE := warp_twisted dns tests benchmarks roles constraints setup.py
# The first Python on the PATH that Warp is tested with; `make PYTHON=/path/to/python` overrides it.
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(python) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) and print("$(python)")' 2>/dev/null)))

# Absolute, for programs that tests start in other directories. The checkout wins over what is installed.
export PYTHONPATH := $(CURDIR):$(CURDIR)/dns:$(CURDIR)/warp_twisted/_dropins
export PYTHONUNBUFFERED := 1

.PHONY: help demo test test-lowest test-fleet faults check fmt bench refresh fresh fresh-is-due clean distclean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile | head -7

demo: $(VENV)/.run
	@$(PY) -m warp_twisted.cli demo $(ARGS)

test: $(VENV)/.test $(VENV)/.debian
	@$(PY) tests/run.py $(or $(ARGS),-j2 tests)

test-lowest:
	@$(MAKE) --no-print-directory test VENV=.venv-lowest VERSIONS=--lowest

# All modules, or those of MODULES="fleet_agents fleet_deploy", in two halves, on two fleets at once; the tests that ARGS
# names on one fleet, in their order.
# WARP_FLEET_KEEP=1 leaves the hosts, to look at: python -m tests.fleet exec edge1 journalctl -b
test-fleet: $(VENV)/.test
	@tests/install-debian-packages tests/fleet/debian-packages.txt
	@$(PY) -m tests.fleet check
ifdef ARGS
	@$(PY) -m tests.fleet down
	@status=0; $(PY) tests/run.py --rterrors $(ARGS) || status=1; \
		if [ -z "$$WARP_FLEET_KEEP" ]; then $(PY) -m tests.fleet down || status=1; fi; exit $$status
else
	@$(PY) -m tests.fleet.side_by_side $(MODULES)
endif

# With WARP_FLEET_USE=1 on the hosts that a run with WARP_FLEET_KEEP=1 has left, as they are.
faults: $(VENV)/.test
	@tests/install-debian-packages tests/fleet/debian-packages.txt
	@$(PY) -m tests.fleet check
	@status=0; $(PY) -m tests.fleet.faults $(ROWS) || status=1; \
		if [ -z "$$WARP_FLEET_KEEP$$WARP_FLEET_USE" ]; then $(PY) -m tests.fleet down || status=1; fi; exit $$status

check: $(VENV)/.check
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m ruff check $(CODE)
	$(PY) -m mypy
	$(PY) -m twisted.trial --reporter=text tests.test_layers tests.test_style tests.docs
	@if ls roles/*/tasks >/dev/null 2>&1; then set -x; \
		PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ansible-lint --offline -q && $(VENV)/bin/yamllint --strict roles playbooks inventory.example site.yml .github .pre-commit-config.yaml; fi
	@echo 'check: all good'

fmt: $(VENV)/.check
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)

bench: $(VENV)/.benchmark
	@if [ -e benchmarks/debian-packages.txt ]; then tests/install-debian-packages benchmarks/debian-packages.txt; fi
	@$(PY) -m benchmarks $(ARGS)
	@$(if $(ARGS),,$(PY) -m benchmarks.dns)
	@$(if $(ARGS),,$(PY) -m benchmarks.policy)
	@$(if $(ARGS),,$(PY) -m benchmarks.routing)

# On a fresh Debian tree: make demo ARGS=--check, make test, make check.
fresh:
	@tests/install-debian-packages tests/fresh/debian-packages.txt
	@$(PYTHON) -m tests.fresh $(ARGS)

# Exits with 0 when what decides about a fresh machine has changed since it passed here.
fresh-is-due:
	@$(PYTHON) -m tests.fresh --due

refresh: $(VENV)/.refresh
	@$(PY) -m constraints.refresh

clean:
	rm -rf build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
	find warp_twisted dns tests benchmarks \( -name __pycache__ -o -name dropin.cache \) -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .venv-lowest

$(PY):
	@test -n '$(PYTHON)' || { echo 'make: Python 3.11, 3.12, 3.13 or 3.14 is needed and none is on the PATH; install it, or name it: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -o Dpkg::Use-Pty=0 --yes python3-venv; \
		else \
			echo 'make: $(PYTHON) cannot make virtual environments; as root: apt-get install python3-venv' >&2; exit 1; \
		fi; \
	fi
	@echo 'Making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Nothing is resolved here: the files of constraints/ say which archives. The .pth file puts the checkout itself before the
# editable install's tree of links, so that .venv/bin/warp sees new files; the other is what a wheel has beside its packages.
define install
	@$(PY) -m constraints.install --editable $(VERSIONS) $(1)
	@cd "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" && \
		printf '%s\n' '$(CURDIR)' '$(CURDIR)/dns' '$(CURDIR)/warp_twisted/_dropins' >0-warp-checkout.pth && \
		cp '$(CURDIR)/warp_twisted/_dropins/warp_hangup.pth' .
	@touch $@
endef
PINNED := $(wildcard constraints/*.txt constraints/*.py) pyproject.toml setup.py warp_twisted/_dropins/warp_hangup.pth

$(VENV)/.run: $(PINNED) | $(PY)
	$(call install)
$(VENV)/.test: $(PINNED) | $(PY)
	$(call install,test)
$(VENV)/.check: $(PINNED) | $(PY)
	$(call install,test check)
$(VENV)/.benchmark: $(PINNED) | $(PY)
	$(call install,benchmark)
$(VENV)/.refresh: $(PINNED) | $(PY)
	$(call install,refresh)

$(VENV)/.debian: tests/debian-packages.txt tests/install-debian-packages | $(PY)
	@tests/install-debian-packages tests/debian-packages.txt
	@if [ "$$(id -u)" = 0 ]; then touch $@; fi

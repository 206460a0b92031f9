# Targets: demo, test, check, bench (see README). Everything is installed into .venv by the first target that needs it.
PY := .venv/bin/python
export PYTHONPATH := .:dns:warp_twisted/_dropins
test:
	$(PY) -m twisted.trial -j2 tests

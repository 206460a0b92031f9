"""
The table of faults: what breaks on hosts under load, what visitors notice of it, and when all is well again by itself.

`make faults` deploys a fleet and runs the whole table; `table` has the rows, `wrecks` breaks and mends, `visitors` is
the load, `measure` what is made of its samples. `tests.fleet.fleet_faults` runs a few rows in `make test-fleet`.
"""

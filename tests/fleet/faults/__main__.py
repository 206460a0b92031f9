"""
The table of faults: `python -m tests.fleet.faults [--rate N] [--json FILE] [NAME]...`, or `make faults`.

Deploys the fleet, or takes the one that is there (WARP_FLEET_USE=1), and runs the rows named, all without a name.
Exits 1 if a row is not as it has to be.

    make faults
    WARP_FLEET_USE=1 python -m tests.fleet.faults stop-edge link-10
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from tests.fleet.deployment import deployment
from tests.fleet.faults.running import Outcome, Runner
from tests.fleet.faults.table import FAULTS
from tests.fleet.place import FleetError

HEAD = "| what was done | requests failed | queries failed | longest wait | back after | at most |"


def row(outcome: Outcome) -> str:
    """Return a line of the table, in Markdown."""
    fault, found = outcome.fault, outcome.figures
    cells = (
        fault.what,
        f"{found.failed} of {found.requests}",
        str(found.failed_queries),
        f"{found.longest_seconds:.1f} s",
        f"{found.back_seconds:.1f} s",
        f"{fault.back_seconds:g} s" + ("" if fault.failed is None else f", {fault.failed} failed"),
    )
    return f"| {' | '.join(cells)} |" + (f" **{outcome.problem}**" if outcome.problem else "")


def as_json(outcome: Outcome) -> dict[str, object]:
    """Return what machines read of a row."""
    about = {"name": outcome.fault.name, "what": outcome.fault.what, "problem": outcome.problem}
    figures = dataclasses.asdict(outcome.figures)
    return {**about, "stalled_seconds": outcome.stalled_seconds, "reasons": figures.pop("what"), **figures}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.faults", description=__doc__.split("\n")[1])
    parser.add_argument("--rate", type=float, default=40.0, metavar="N", help="visitors a second (40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of rows: {', '.join(FAULTS)}")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in FAULTS]:
        parser.error(f"no such row: {', '.join(unknown)}")
    runner = Runner(deployment(), options.rate)
    outcomes: list[Outcome] = []
    failed = False
    print(f"\n{time.strftime('%Y-%m-%d')}, {options.rate:g} visitors a second\n\n{HEAD}\n|---|---|---|---|---|---|")
    for name in options.names or FAULTS:
        try:
            outcomes.append(runner.run(FAULTS[name]))
        except FleetError as error:
            failed = True
            print(f"| {FAULTS[name].what} | **{error}** |", flush=True)
            continue
        print(row(outcomes[-1]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([as_json(outcome) for outcome in outcomes], indent=2) + "\n")
    return int(failed or any(outcome.problem for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

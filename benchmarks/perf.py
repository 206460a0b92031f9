"""
Where a program's CPU time goes, by what executes it: interpreter, extension modules, OpenSSL, C library, kernel.

`perf record` with the clock `cpu-clock` interrupts a thread only while it runs, so waiting is not counted; it needs no
hardware counters, which virtual machines often lack.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import ProgramFailed
from benchmarks.layout import format_value, table
from benchmarks.processes import find_program, running

SAMPLES_PER_SECOND = 997
KERNEL, INTERPRETER, OPENSSL, LIBRARIES = "kernel", "Python interpreter", "OpenSSL", "C library and others"
_SAMPLE = re.compile(r"^\s*(?P<address>[0-9a-f]+) (?P<symbol>.*) \((?P<file>.*)\)$")
_EXTENSION = re.compile(r"^(?P<module>[^.]+)\.(cpython-|abi3\.)?.*so$")
_STOP_SECONDS = 30.0
# Of the kernel's half of the address space, when the kernel does not say which symbol is where.
_KERNEL_ADDRESS = 0xFFFF_8000_0000_0000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    Where a program was when it was interrupted.

    :param part: `KERNEL`, `INTERPRETER`, `OPENSSL`, `LIBRARIES` or "extension " and a module's name.
    :param symbol: the function; "" where the file has no symbols.
    """

    part: str
    symbol: str


def parse(printed: str) -> Counter[Sample]:
    """Read what `perf script -F ip,sym,dso` prints, one line for each interruption."""
    found: Counter[Sample] = Counter()
    for line in printed.splitlines():
        match = _SAMPLE.match(line)
        if match is not None:
            symbol = "" if match["symbol"] == "[unknown]" else match["symbol"]
            found[Sample(part=_part(match["file"], int(match["address"], 16)), symbol=symbol)] += 1
    return found


def _part(file: str, address: int) -> str:
    """Tell to whom a mapped file belongs."""
    name = Path(file).name
    if file.startswith("[kernel") or file.endswith(".ko") or address >= _KERNEL_ADDRESS:
        return KERNEL
    if name.startswith(("libssl", "libcrypto")):
        return OPENSSL
    if name.startswith(("python3", "libpython3")):
        return INTERPRETER
    if ("/lib-dynload/" in file or "/site-packages/" in file) and (extension := _EXTENSION.match(name)) is not None:
        return f"extension {extension['module']}"
    return LIBRARIES


def parts_table(found: Mapping[Sample, int], microseconds: float, unit: str) -> str:
    """Lay out the parts, most expensive first."""
    parts: Counter[str] = Counter()
    for sample, count in found.items():
        parts[sample.part] += count
    total = max(1, sum(parts.values()))
    rows = [["part", f"µs/{unit}", "%"]]
    for part, count in parts.most_common():
        rows.append([part, format_value(count / total * microseconds), f"{100 * count / total:.1f}"])
    rows.append(["in all", format_value(microseconds), "100.0"])
    return table(rows)


def symbols_table(found: Mapping[Sample, int], microseconds: float, unit: str, top: int) -> str:
    """Lay out the most expensive functions of all parts."""
    total = max(1, sum(found.values()))
    rows = [["C function", "part", f"µs/{unit}", "%"]]
    for sample, count in Counter(found).most_common(top):
        share = count / total
        rows.append(
            [sample.symbol or "(no symbol)", sample.part, format_value(share * microseconds), f"{100 * share:.1f}"]
        )
    return table(rows, text_columns=2)


@contextlib.contextmanager
def recording(pid: int, name: str, directory: Path) -> Iterator[Path]:
    """
    Sample a process for the length of a `with` block.

    :returns: the file that has the samples when the block is over.
    """
    target = directory / f"{name}.perf"
    command = ["perf", "record", "--event", "cpu-clock", "--freq", str(SAMPLES_PER_SECOND), "--pid", str(pid)]
    with running(f"perf-{name}", [*command, "--output", str(target)], directory) as recorder:
        recorder.wait_for_file(target)
        yield target
        recorder.send_signal(signal.SIGINT)
        recorder.wait_for_end(_STOP_SECONDS)


def read(target: Path) -> Counter[Sample]:
    """
    Read a file of samples.

    :raises ProgramFailed: if perf cannot, or there are none.
    """
    command: Sequence[str] = [find_program("perf"), "script", "--input", str(target), "--fields", "ip,sym,dso"]
    printed = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    found = parse(printed.stdout)
    if not found:
        raise ProgramFailed(f"perf script: no samples; {printed.stderr.strip()[-300:]}")
    return found

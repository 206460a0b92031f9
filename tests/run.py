"""
Run trial, show what it prints, and end with one line: `N passed, N failed, N skipped`.

This is what `make test` calls. Errors, unexpected successes and a trial that dies without a summary count as
failed. Every skip is listed with its reason before the last line; where `CI` is set a skip fails the run,
because everything that the tests need must be there. Arguments are trial's own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

_SUMMARY = re.compile(r"(?:PASSED|FAILED)(?: \((?P<counts>[^)]*)\))?\s*")
_RULE = "=" * 79


@dataclass
class Outcome:
    """What one run of trial came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    skips: list[tuple[str, str]] = field(default_factory=list)  # (test id, reason)

    def line(self) -> str:
        """Return the last line of the output."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read_outcome(lines: Iterable[str]) -> Outcome:
    """
    Read the counts and the skips from what trial printed.

    :param lines: trial's output, as its verbose reporter writes it.
    """
    text = [line.rstrip("\n") for line in lines]
    outcome = Outcome(skips=list(_skips(text)))
    summaries = [match for line in text if (match := _SUMMARY.fullmatch(line))]
    if not summaries:
        outcome.failed = 1
        return outcome
    counts = dict(part.split("=") for part in (summaries[-1]["counts"] or "").split(", ") if part)
    number = {key: int(value) for key, value in counts.items()}
    outcome.passed = number.get("successes", 0) + number.get("expectedFailures", 0)
    outcome.failed = sum(number.get(key, 0) for key in ("failures", "errors", "unexpectedSuccesses"))
    outcome.skipped = number.get("skips", 0)
    return outcome


def _skips(text: list[str]) -> Iterable[tuple[str, str]]:
    # A group: a rule, "[SKIPPED]", the reason, an empty line, one test id a line, then a rule or the totals.
    for at, line in enumerate(text):
        if line != "[SKIPPED]" or at == 0 or text[at - 1] != _RULE:
            continue
        body = text[at + 1 :]
        end = next((index for index, row in enumerate(body) if row == _RULE or set(row) == {"-"}), len(body))
        group = body[:end]
        split = max((index for index, row in enumerate(group) if not row), default=len(group))
        reason = " ".join(part.strip() for part in group[:split] if part.strip())
        for test in group[split + 1 :]:
            yield test, reason


def verdict(outcome: Outcome, returncode: int, *, skips_fail: bool) -> int:
    """
    Decide the exit status.

    A run in which nothing passed is a failure too: it means that nothing was found to run.

    :param returncode: trial's own exit status.
    :param skips_fail: true in CI.
    """
    if returncode or outcome.failed or not outcome.passed:
        return 1
    return 1 if skips_fail and outcome.skipped else 0


def main(arguments: list[str]) -> int:
    """Run trial with these arguments and report."""
    command = [sys.executable, "-m", "twisted.trial", "--reporter=verbose", *(arguments or ["-j2", "tests"])]
    said = bytearray()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as trial:
        assert trial.stdout is not None
        try:
            # Not by line: trial names a test when it begins, and ends the line with it.
            while chunk := trial.stdout.read(65536):
                sys.stdout.buffer.write(chunk)
                sys.stdout.flush()
                said += chunk
        except KeyboardInterrupt:
            trial.wait()
    outcome = read_outcome(said.decode(errors="replace").splitlines())
    if trial.returncode and not outcome.failed:
        outcome.failed = 1
    in_ci = os.environ.get("CI", "") not in ("", "0", "false")
    print()
    for test, reason in outcome.skips:
        print(f"skipped: {test}: {reason}")
    if in_ci and outcome.skipped:
        print("CI is set, so a skip is a failure: install what the skipped tests need.")
    print(outcome.line(), flush=True)
    return verdict(outcome, trial.returncode, skips_fail=in_ci)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

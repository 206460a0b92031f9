"""What can stop a benchmark: each class docstring is the sentence that a user sees, before the details."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The benchmark cannot go on."""

    def __str__(self) -> str:
        sentence = (type(self).__doc__ or "").strip()
        details = super().__str__()
        return f"{sentence} {details}" if details else sentence


class ProgramMissing(BenchmarkError):
    """A program that this case measures is not installed."""


class ProgramFailed(BenchmarkError):
    """A program that this case measures ended or did not become ready."""


class UnexpectedAnswer(BenchmarkError):
    """A visitor was answered with something else than the case expects."""


class OutOfTime(Exception):
    """The run reached its overall time limit; no BenchmarkError, so that nobody takes it for something to retry."""


class UnreadableOutput(BenchmarkError):
    """A measuring program printed something that this version of the benchmark does not understand."""

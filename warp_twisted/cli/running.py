"""
What the commands that run a reactor have in common: where the log goes, and how a failure is told.

Twisted is imported by the functions, since `warp --help` does not need it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from warp_base.escaping import printable, printable_lines
from warp_twisted.cli.errors import sentence
from warp_twisted.cli.output import say, say_lines
from warp_twisted.errors import WarpError

if TYPE_CHECKING:
    from twisted.logger import LogEvent
    from twisted.python.failure import Failure


def begin_log(say: Callable[[str], None], least: str) -> None:
    """
    Hand every log event that is severe enough to a function, as text; what was logged before is dropped.

    :param least: the least severe level that is shown: `info`, `warn` or `error`.
    """
    from twisted.logger import LogLevel, globalLogBeginner

    lowest = LogLevel.levelWithName(least)

    def observe(event: "LogEvent") -> None:
        if event.get("log_level", LogLevel.info) >= lowest:
            say(log_text(event))

    observer: Any = observe  # an observer is any callable; the type says more
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def log_text(event: "LogEvent") -> str:
    """Write a log event as its level, its message, and its traceback if it has one."""
    from twisted.logger import LogLevel, formatEvent

    text = f"{event.get('log_level', LogLevel.info).name}: {printable(formatEvent(event))}"
    failure = event.get("log_failure")
    return text if failure is None else f"{text}\n{printable_lines(failure.getTraceback())}"


def tell_failure(failure: "Failure", what: str) -> int:
    """
    Say on standard error why a command failed.

    :param what: what failed, if it is no error that Warp raises on purpose: `the agent`.
    :returns: the exit status.
    """
    if failure.check(WarpError, OSError):
        assert failure.value is not None  # noqa: S101 -- for the types; a failure has one
        say(f"warp: {sentence(failure.value)}", err=True)
    else:
        say_lines(f"warp: {what} failed, which is a bug in Warp\n{failure.getTraceback()}", err=True)
    status = getattr(failure.value, "exit_code", 1)
    return status if isinstance(status, int) else 1

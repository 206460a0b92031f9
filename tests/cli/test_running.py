"""Tests of `warp_twisted.cli.running`."""

import contextlib
import io
from typing import cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogBeginner
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.errors import DemoFailed, EdgeUnreachable
from warp_twisted.cli.running import begin_log, log_text, tell_failure


class BeginLogTests(SynchronousTestCase):
    """Where the log goes."""

    def test_least_level(self) -> None:
        """What is severe enough is said as text, the rest is not, and standard output is left alone."""
        begun: list[tuple[object, ...]] = []

        def begin(observers: list[object], redirectStandardIO: bool, discardBuffer: bool) -> None:
            begun.append((*observers, redirectStandardIO, discardBuffer))

        self.patch(globalLogBeginner, "beginLoggingTo", begin)
        said: list[str] = []
        begin_log(said.append, "warn")
        ((observer, redirects, discards),) = begun
        log = Logger(observer=cast(ILogObserver, observer))
        log.info("not this")
        log.warn("{thing} is wrong", thing="this")
        self.assertEqual((said, redirects, discards), (["warn: this is wrong"], False, True))


class LogTextTests(SynchronousTestCase):
    """A log event as text."""

    def test_traceback(self) -> None:
        """A failure's traceback stands below the message."""
        try:
            raise ValueError("broken")
        except ValueError:
            failure = Failure()
        event: LogEvent = {"log_level": LogLevel.critical, "log_format": "it failed", "log_failure": failure}
        first, *rest = log_text(event).splitlines()
        self.assertEqual(first, "critical: it failed")
        self.assertIn("ValueError: broken", rest[-1])


class TellFailureTests(SynchronousTestCase):
    """What a user reads when a command fails."""

    def told(self, error: Exception) -> tuple[int, str]:
        """Return status and text for an error."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            status = tell_failure(Failure(error), "the agent")
        return status, errors.getvalue()

    def test_raised_on_purpose(self) -> None:
        """Errors of Warp and of the system are one line, with the status that the error has."""
        self.assertEqual(self.told(EdgeUnreachable("no edge\nanswers.")), (3, "warp: no edge answers\n"))
        self.assertEqual(self.told(DemoFailed("no")), (1, "warp: no\n"))
        self.assertEqual(
            self.told(PermissionError(13, "Permission denied", "/x")), (1, "warp: /x: Permission denied\n")
        )

    def test_a_bug(self) -> None:
        """Anything else is called a bug, and its traceback is shown."""
        status, text = self.told(ZeroDivisionError("why"))
        self.assertEqual(status, 1)
        self.assertTrue(text.startswith("warp: the agent failed, which is a bug in Warp\n"), text)
        self.assertIn("ZeroDivisionError: why", text)

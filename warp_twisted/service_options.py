"""
What the taps of edge and agent have in common: the options of a service with one YAML file, and its log.

Each tap derives its `Options` from `ServiceOptions` and says how its file is read and checked.
"""

import atexit
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Never, TypeVar

import twisted
from twisted.python.logfile import LogFile
from twisted.python.usage import Options

from warp_base.hangup import Hangups
from warp_base.nonblocking_writer import finish_all, stream_sink
from warp_base.systemd_socket import leads_to_journal
from warp_twisted import __version__
from warp_twisted.errors import WarpError
from warp_twisted.log_output import LogOutput

S = TypeVar("S")  # what a service's file says

MAX_REASON_BYTES = 100  # twistd reads no more of it


class ServiceOptions(Options, Generic[S]):
    """
    `--config FILE` and `--check`.

    :cvar examples: of its use, a line each; twistd would make one paragraph of them in `longdesc`.
    :ivar settings: what the file says, once the options are parsed.
    :ivar hangups: requests to reload, noted from just before the file was read.
    """

    examples: ClassVar[tuple[str, ...]] = ()
    synopsis = "[--config FILE] [--check]"
    optFlags: ClassVar[list[list[Any]]] = [
        ["check", None, "Say whether the configuration is good, and end: 0 if it is, 1 with the reason if not."],
    ]
    settings: S

    def __init__(self) -> None:
        super().__init__()
        self.hangups = Hangups()

    def opt_version(self) -> None:
        """Say which version of Warp this is, and end."""
        print(f"warp {__version__} (Twisted {twisted.__version__})")
        raise SystemExit(0)

    def getUsage(self, width: int | None = None) -> str:
        """Return what `--help` prints."""
        return f"{super().getUsage(width)}\nExamples:\n" + "".join(f"  {each}\n" for each in self.examples)

    def read_settings(self, path: str) -> S:
        """
        Read the file.

        :raises WarpError: naming the key that is wrong.
        """
        raise NotImplementedError

    def check_settings(self, settings: S, source: str) -> str:
        """
        Look at what the settings point to, without connecting, listening or writing.

        :param source: the file's name, for messages.
        :returns: what is still missing before the service can start, or what it would start without, though nothing is
            wrong with the file.
        :raises WarpError: naming what cannot be used.
        """
        raise NotImplementedError

    def postOptions(self) -> None:
        """
        Read the configuration, and with `--check` do nothing else.

        A file that is wrong ends the process by itself: after a `UsageError` twistd prints all its options first, and
        the one line that matters would stand below them.
        """
        missing = ""
        if not self["check"]:
            self.hangups.note()
        try:
            self.settings = self.read_settings(self["config"])
            if self["check"]:
                missing = self.check_settings(self.settings, self["config"])
        except WarpError as error:
            raise SystemExit(f"{error}") from error  # a line on stderr, status 1
        if self["check"]:
            print(f"{self['config']}: good" + (f", but {missing}" if missing else ""))
            raise SystemExit(0)


def give_up(twistd: Mapping[str, Any], reason: str) -> Never:
    """
    End a process that cannot start, with status 1.

    twistd removes its pid file after an exception, but not after this one, which prints no traceback.

    :param twistd: twistd's own options.
    :param reason: told to who started a process that went into the background.
    """
    if twistd.get("pidfile"):
        Path(twistd["pidfile"]).unlink(missing_ok=True)
    if twistd.get("statusPipe") is not None:
        os.write(twistd["statusPipe"], f"1 {reason}".encode("ascii", "backslashreplace")[:MAX_REASON_BYTES])
    raise SystemExit(1)


def exit_at_end(status: int) -> None:
    """Let the process end with a status when twistd, which always says 0, has stopped and removed its pid file."""
    atexit.register(_exit, status)


def _exit(status: int) -> None:
    finish_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def open_log(twistd: Mapping[str, Any], log_format: str, level: str) -> LogOutput | None:
    """
    Return where the log goes, or None when twistd was told to write it another way.

    :param twistd: twistd's own options.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    name = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    if name != "-":
        return LogOutput(LogFile.fromFullPath(name).write, log_format, level)
    return LogOutput(stream_sink(sys.stdout), log_format, level, is_journal=leads_to_journal(sys.stdout))

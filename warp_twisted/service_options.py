"""
What the taps of edge and agent have in common: the options of a service with one YAML file, and its log.

Each tap derives its `Options` from `ServiceOptions` and says how its file is read and checked.
"""

import sys
from typing import Any, ClassVar

from twisted.python.logfile import LogFile
from twisted.python.usage import Options

from warp_twisted.errors import WarpError
from warp_twisted.log_output import LogOutput


class ServiceOptions(Options):
    """
    `--config FILE` and `--check`.

    :ivar settings: what the file says, once the options are parsed.
    """

    synopsis = "[--config FILE] [--check]"
    optFlags: ClassVar[list[list[Any]]] = [
        ["check", None, "Say whether the configuration is good, and end: 0 if it is, 1 with the reason if not."],
    ]
    settings: Any

    def read_settings(self, path: str) -> Any:
        """
        Read the file.

        :raises WarpError: naming the key that is wrong.
        """
        raise NotImplementedError

    def check_settings(self, settings: Any, source: str) -> None:
        """
        Look at what the settings point to, without dialling, listening or writing.

        :param source: the file's name, for messages.
        :raises WarpError: naming what cannot be used.
        """
        raise NotImplementedError

    def postOptions(self) -> None:
        """
        Read the configuration, and with `--check` do nothing else.

        A file that is wrong ends the process by itself: after a `UsageError` twistd prints all its options first, and
        the one line that matters would stand below them.
        """
        try:
            self.settings = self.read_settings(self["config"])
            if self["check"]:
                self.check_settings(self.settings, self["config"])
        except WarpError as error:
            raise SystemExit(f"{error}") from error  # a line on stderr, status 1
        if self["check"]:
            print(f"{self['config']}: good")
            raise SystemExit(0)


def open_log(twistd: Any, log_format: str, level: str) -> LogOutput | None:
    """
    Return where the log goes, or None when twistd was told to write it another way.

    :param twistd: twistd's own options, a mapping.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    name = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    file: Any = sys.stdout if name == "-" else LogFile.fromFullPath(name)
    return LogOutput(file, log_format, level)

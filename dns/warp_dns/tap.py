"""`twistd warp-dns`: options, and the service made of them."""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar, Never

from twisted.application.service import IService
from twisted.python.usage import Options as BaseOptions

from warp_base.hangup import Hangups
from warp_base.loop.collector import spare_old_objects
from warp_base.loop.event_loop import watch
from warp_base.loop.turn_times import TurnTimes
from warp_base.machine_time import use_monotonic_time
from warp_base.nonblocking_writer import finish_all
from warp_base.reactor import as_reactor
from warp_dns.errors import DnsError
from warp_dns.program.configuration import read_configuration
from warp_dns.program.log_lines import text_lines
from warp_dns.program.service import DnsService, check_file

# A thread that reads a configuration may keep the interpreter for so long while the reactor wants it, with each system
# call that the reactor makes; Python's default of 5 ms would be 10 ms for every answer.
SWITCH_SECONDS = 0.0005


class Options(BaseOptions):
    """Options of `twistd warp-dns`."""

    synopsis = "[--config FILE] [--check]"
    longdesc = "Serve DNS zones from master files and from the records that a Warp edge publishes."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", "/etc/warp/dns.yaml", "Configuration file."],
        ["workers", "w", None, "Processes that answer UDP; overrides the file.", int],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["check", None, "Check the configuration, and every file that it names, and exit."],
    ]

    def postOptions(self) -> None:
        """Read the configuration; with `--check`, also what it names, and exit with 0 if all is well."""
        self.hangups = Hangups()
        if not self["check"]:
            self.hangups.note()
        odd = ""
        try:
            self["file"] = read_configuration(self["config"])
            if self["check"]:
                from twisted.internet import reactor

                odd = check_file(as_reactor(reactor), self["config"], self["file"])
        except DnsError as error:
            raise SystemExit(_with_file(error, self["config"])) from error  # a line on stderr, status 1
        if self["check"]:
            sys.stdout.write(f"{self['config']}: good{f', but {odd}' if odd else ''}\n")
            raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Return the service that the options describe."""
    import msgspec
    from twisted.internet import reactor

    use_monotonic_time(reactor)
    times = TurnTimes()
    watch(reactor, times)
    sys.setswitchinterval(SWITCH_SECONDS)
    spare_old_objects(as_reactor(reactor))
    as_reactor(reactor).addSystemEventTrigger(
        "after", "shutdown", finish_all
    )  # twistd ends by a signal, of which atexit hears not
    twistd: Any = options.parent or {}
    file = options["file"]
    if options["workers"] is not None:
        file = msgspec.structs.replace(file, workers=options["workers"])
    try:
        return DnsService(
            as_reactor(reactor),
            options["config"],
            file,
            notify_socket=os.environ.get("NOTIFY_SOCKET", ""),
            watchdog_usec=os.environ.get("WATCHDOG_USEC", ""),
            turn_times=times,
            hangups=options.hangups,
            give_up=lambda: give_up(twistd),
            log_observer=None if twistd.get("logger") or twistd.get("syslog") else text_lines(_log_file(twistd)),
        )
    except DnsError as error:
        raise SystemExit(_with_file(error, options["config"])) from error


def _log_file(twistd: Any) -> str:
    return twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")


def give_up(twistd: Any) -> Never:
    """
    End a process that cannot start, with status 1 and without its pid file, which twistd leaves at a `SystemExit`.

    :param twistd: twistd's own options, a mapping.
    """
    if twistd.get("pidfile"):
        Path(twistd["pidfile"]).unlink(missing_ok=True)
    raise SystemExit(1)


def _with_file(error: DnsError, path: str) -> str:
    """Say which file an error is of; errors of its reading begin with it already."""
    return f"{path}: {str(error).removeprefix(f'{path}: ')}"

"""
`warp demo`: options, signals, the log and the terminal; the fleet itself is `demo.fleet`.

Ctrl-C, SIGTERM and a closed terminal all stop the fleet in order and remove what it made; so does an error.
"""

import shlex
import signal
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click

from warp_twisted.cli.output import say, say_lines
from warp_twisted.cli.running import begin_log, tell_failure
from warp_twisted.errors import WarpError

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from warp_base.reactor import Reactor
    from warp_twisted.demo.admin import DemoAdmin
    from warp_twisted.demo.fleet import DemoFleet
    from warp_twisted.demo.view import Picture, Tail, View

REDRAW_SECONDS = 0.5
KEPT_LINES = 50  # of the log, while a check runs


@click.command(
    short_help="Run a whole fleet in one process, to try Warp out.",
    epilog="\b\nExamples:\n  warp demo\n  warp demo --check\n  warp up http://localhost:3000     # in another terminal",
)
@click.option("--check", is_flag=True, help="Drive the whole path once, print a line for each step, and end: 0 or 1.")
def demo(check: bool) -> int:
    """
    Run a whole fleet in one process, to try Warp out.

    A certificate authority, an edge, its DNS server, an agent and a small application, all on loopback: zone
    warp.localhost, HTTP on 8080, HTTPS on 8443, DNS on 5300, tunnels on 7844, or other ports where these are taken.
    State is in a temporary directory. While it runs, `warp up ORIGIN` in another terminal joins it without further
    options, and so do `warp status`, `warp token` and `warp agent`. Ctrl-C leaves nothing behind.
    """
    # Twisted is slow to import; `warp demo --help` does not need it.
    from twisted.internet import reactor as installed

    from warp_base.reactor import as_reactor
    from warp_twisted.demo.fleet import DemoFleet
    from warp_twisted.process import prepare

    reactor = as_reactor(installed)
    prepare(reactor)
    return _Run(reactor, DemoFleet(reactor)).run(check)


class _Run:
    """One run of the reactor, from start to an empty temporary directory."""

    def __init__(self, reactor: "Reactor", fleet: "DemoFleet") -> None:
        self._reactor = reactor
        self._fleet = fleet
        self._view: View | None = None
        self._status = 1
        self._is_stopping = False
        self._kept: deque[str] | None = None

    def run(self, check: bool) -> int:
        """
        Run until stopped.

        :returns: the exit status.
        """
        from twisted.internet.defer import Deferred

        self._kept = deque(maxlen=KEPT_LINES) if check else None
        begin_log(self._say, "warn")
        reactor = self._reactor

        def begin() -> None:
            Deferred.fromCoroutine(self._check() if check else self._show()).addErrback(self._failed)

        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(self._stop()))
        # The reactor stops on SIGINT and SIGTERM by itself; a closed terminal should not leave files either.
        reactor.callWhenRunning(signal.signal, signal.SIGHUP, lambda number, frame: reactor.callFromThread(self._end))
        # Not before: until the reactor has its handlers, Ctrl-C would break into the start anywhere.
        reactor.callWhenRunning(begin)
        reactor.run()
        return self._status

    async def _check(self) -> None:
        from warp_twisted.demo.check import run_steps, steps_of
        from warp_twisted.demo.ports import moved

        began = self._reactor.seconds()
        start, *_ = steps_of(self._fleet, self._reactor)
        is_good = await run_steps([start], self._reactor, say)
        for note in moved(self._fleet.ports):
            say(f"Note: {note}")
        if is_good:
            _, *others = steps_of(self._fleet, self._reactor)  # again, for now the ports are known
            is_good = await run_steps(others, self._reactor, say)
        if not is_good:
            for line in self._kept or ():
                say_lines(line, err=True)
        self._status = 0 if is_good else 1
        verdict = "The whole path works" if is_good else "The path does not work"
        say(f"{verdict}: {self._reactor.seconds() - began:.1f} s")
        self._end()

    async def _show(self) -> None:
        from twisted.internet.defer import Deferred
        from twisted.internet.task import LoopingCall

        from warp_twisted.demo.fleet import HOSTNAME
        from warp_twisted.demo.ports import moved
        from warp_twisted.demo.view import Tail, welcome

        fleet = self._fleet
        await fleet.start_edge()
        await fleet.start_application()
        await fleet.enroll_agent()
        await fleet.connect_agent()
        fleet.announce()
        self._status = 0
        for line in welcome(
            url=fleet.url(),
            secure_url=fleet.url(scheme="https"),
            root_file=fleet.root_file,
            policy_directory=fleet.policy_directory,
            hostname=HOSTNAME,
            dns_port=fleet.ports.dns,
            command=_command(),
            moved=moved(fleet.ports),
        ):
            say(line)
        sys.stdout.flush()
        view = self._view = _open_view()
        tail = Tail(fleet.access_file)
        redraw = LoopingCall(lambda: Deferred.fromCoroutine(self._draw(view, tail)))
        redraw.clock = self._reactor
        redraw.start(REDRAW_SECONDS).addErrback(self._failed)

    async def _draw(self, view: "View", tail: "Tail") -> None:
        if not self._is_stopping:
            tail.look()
            try:
                picture = await _look(self._fleet.admin, tail)
            except WarpError:
                return  # the edge is busy, or stops; there will be another look
            if not self._is_stopping:
                view.show(picture)

    def _failed(self, failure: "Failure") -> None:
        self._status = tell_failure(failure, "the demo")
        self._end()

    def _end(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._reactor.callWhenRunning(self._reactor.stop)

    async def _stop(self) -> None:
        self._is_stopping = True
        if self._view is not None:
            self._view.close()
        await self._fleet.stop()

    def _say(self, line: str) -> None:
        """
        Show a warning or worse; a running demo has nothing else to say in a log.

        A check provokes warnings by stopping things, so it keeps them for the case that it fails.
        """
        if self._kept is not None:
            self._kept.append(line)
        elif self._view is not None:
            self._view.say(line)
        else:
            say_lines(line, err=True)


async def _look(admin: "DemoAdmin", tail: "Tail") -> "Picture":
    """Look at the edge through the doors that operators have: status, metrics and access log."""
    from warp_twisted.cli.operate.answers import Status, read
    from warp_twisted.demo.view import Picture, RouteLine

    counts: dict[tuple[str, str], int] = {}
    totals: dict[str, float] = {}
    for family in await admin.metrics():
        for sample in family.samples:
            if sample.name == "warp_edge_requests_total":
                place = sample.labels["hostname"], sample.labels["code"]
                counts[place] = counts.get(place, 0) + int(sample.value)
            else:
                totals[sample.name] = totals.get(sample.name, 0) + sample.value
    status = read(await admin.status(), Status)
    return Picture(
        routes=[
            RouteLine(
                url=route.url,
                service=", ".join(sorted(set(route.services.values()))),
                tunnels=route.tunnels,
                requests=sum(count for (host, _), count in counts.items() if host == route.hostname),
                errors=counts.get((route.hostname, "5xx"), 0),
            )
            for route in status.routes
        ],
        recent=list(tail.recent),
        dns_queries=int(totals.get("warp_dns_queries_total", 0)),
        visitors=int(totals.get("warp_edge_visitors", 0)),
    )


def _open_view() -> "View":
    from warp_twisted.demo.view import Lines, Screen

    if sys.stdout.isatty():
        from rich.console import Console

        return Screen(Console())
    return Lines(say)


def _command() -> str:
    """Return how this program can be called from another terminal."""
    program = Path(sys.argv[0])
    if program.name == "warp":
        return "warp"
    beside = Path(sys.executable).with_name("warp")
    return shlex.quote(str(beside)) if beside.exists() else f"{shlex.quote(sys.executable)} -m warp_twisted.cli"

"""
`warp demo` of one application: what it starts, what it shows while it runs, and `warp demo --check`.
"""

import sys

from rich.console import Console

from warp_base.reactor import Reactor
from warp_twisted.cli.operate.answers import Status, read
from warp_twisted.cli.output import say
from warp_twisted.demo.admin import DemoAdmin
from warp_twisted.demo.check import run_steps, steps_of
from warp_twisted.demo.fleet import HOSTNAME, DemoFleet
from warp_twisted.demo.ports import moved
from warp_twisted.demo.running import DemoRun, this_command
from warp_twisted.demo.view import Lines, Picture, RouteLine, Screen, Tail, View, welcome
from warp_twisted.errors import WarpError

REDRAW_SECONDS = 0.5


class HelloDemo:
    """
    The demo of one application.

    :param is_check: drive the whole path once and end, instead of serving.
    """

    def __init__(self, reactor: Reactor, *, is_check: bool) -> None:
        self._reactor = reactor
        self._fleet = DemoFleet(reactor)
        self._run = DemoRun(reactor, self._fleet.stop, is_check=is_check)
        self._begin = self._check if is_check else self._show

    def run(self) -> int:
        """Run until it is ended; return the exit status."""
        return self._run.run(self._begin)

    async def _check(self) -> None:
        began = self._reactor.seconds()
        start, *_ = steps_of(self._fleet, self._reactor)
        is_good = await run_steps([start], self._reactor, say)
        for note in moved(self._fleet.ports):
            say(f"Note: {note}")
        if is_good:
            _, *others = steps_of(self._fleet, self._reactor)  # again, for now the ports are known
            is_good = await run_steps(others, self._reactor, say)
        if not is_good:
            self._run.say_kept()
        self._run.status = 0 if is_good else 1
        verdict = "The whole path works" if is_good else "The path does not work"
        say(f"{verdict}: {self._reactor.seconds() - began:.1f} s")
        self._run.end()

    async def _show(self) -> None:
        fleet = self._fleet
        await fleet.start_edge()
        await fleet.agent.application.start()
        await fleet.agent.enroll()
        await fleet.agent.connect()
        fleet.announce()
        self._run.status = 0
        for line in welcome(
            url=fleet.url(),
            secure_url=fleet.url(scheme="https"),
            root_file=fleet.root_file,
            policy_directory=fleet.policy_directory,
            hostname=HOSTNAME,
            dns_port=fleet.ports.dns,
            command=this_command(),
            moved=moved(fleet.ports),
        ):
            say(line)
        sys.stdout.flush()
        view = self._run.shown = _open_view()
        tail = Tail(fleet.access_file)
        self._run.every(REDRAW_SECONDS, lambda: self._draw(view, tail))

    async def _draw(self, view: View, tail: Tail) -> None:
        tail.look()
        try:
            picture = await _look(self._fleet.admin, tail)
        except WarpError:
            return  # the edge is busy, or stops; there will be another look
        if not self._run.is_stopping:
            view.show(picture)


async def _look(admin: DemoAdmin, tail: Tail) -> Picture:
    """Look at the edge through the doors that operators have: status, metrics and access log."""
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


def _open_view() -> View:
    if sys.stdout.isatty():
        return Screen(Console())
    return Lines(say)

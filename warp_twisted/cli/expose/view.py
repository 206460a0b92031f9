"""
What `warp up` shows: a live table on a terminal, plain lines elsewhere, or one JSON object for each event.

`picture_of` looks at an agent; the rest is pure: events and pictures in, text out.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from warp_base.escaping import printable, printable_json
from warp_base.nonblocking_writer import FINISH_SECONDS, NonblockingWriter, stream_sink
from warp_twisted.agent.events import (
    CertificateRenewed,
    ClockSuspected,
    Delayed,
    Dialing,
    Draining,
    Enrolled,
    Event,
    NameUnanswered,
    OriginChanged,
    Protected,
    Published,
    Refused,
    Reloaded,
    ReloadRefused,
    Shared,
    Stopped,
    TunnelDown,
    TunnelUp,
)
from warp_twisted.cli.output import span
from warp_twisted.cli.terminal import LivePicture, add_numbers, cell, plain_table

if TYPE_CHECKING:
    from warp_twisted.agent.service import AgentService


_LOCAL_URL = re.compile(r"https?://[^/:]*\.localhost(?=[:/]|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRow:
    """One tunnel: `state` is `up`, or why it is not."""

    number: int
    edge: str
    address: str
    state: str
    is_up: bool
    ping_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """
    One route, with what has passed through it.

    :ivar plain_url: the URL without TLS, where there is one beside `url`.
    :ivar response_seconds: the mean time to the first byte, or None.
    """

    url: str
    plain_url: str = ""
    path: str
    origin: str
    requests: int
    errors: int
    open: int
    bytes_in: int
    bytes_out: int
    response_seconds: float | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to see at one moment."""

    tunnels: Sequence[TunnelRow] = ()
    routes: Sequence[RouteRow] = ()
    is_draining: bool = False


def picture_of(agent: "AgentService", reasons: Mapping[int, str]) -> Picture:
    """
    Look at an agent.

    :param reasons: tunnel → why it is not up, as events told.
    """
    tunnels = [
        TunnelRow(
            number=link.index,
            edge=link.edge_name,
            address=str(link.edge or ""),
            state="up" if link.is_up else reasons.get(link.index, "connecting"),
            is_up=link.is_up,
            ping_seconds=link.tunnel.round_trip_seconds if link.tunnel is not None and link.is_up else None,
        )
        for link in agent.links
    ]
    routes = []
    for route in agent.routes.offered:
        traffic, last = route.traffic, route.origin.last
        routes.append(
            RouteRow(
                url=agent.urls.get(route.offer.id, route.offer.hostname or "(a name from the edge)"),
                plain_url=agent.plain_urls.get(route.offer.id, ""),
                path=route.offer.path,
                origin=route.offer.service,
                requests=traffic.requests + traffic.failed,
                errors=traffic.failed,
                open=traffic.open,
                bytes_in=traffic.to_origin,
                bytes_out=traffic.from_origin,
                response_seconds=traffic.response_seconds / traffic.requests if traffic.requests else None,
                problem="" if last is None else last.detail,
            )
        )
    return Picture(tunnels=tunnels, routes=routes, is_draining=agent.is_stopping)


def without_urls_to_come(picture: Picture, told: Collection[str]) -> Picture:
    """Return a picture with the names alone of routes whose URLs were not told yet."""

    def told_of(row: RouteRow) -> RouteRow:
        if row.url in told or "://" not in row.url:
            return row
        return replace(row, url=f"{urlsplit(row.url).hostname} (not in DNS yet)", plain_url="")

    return replace(picture, routes=[told_of(row) for row in picture.routes])


def draw(picture: Picture) -> RenderableType:
    """Draw a picture for a terminal."""
    routes = plain_table()
    routes.add_column("ORIGIN", no_wrap=True, overflow="ellipsis")
    add_numbers(routes, "REQUESTS", "ERRORS", "OPEN", "IN", "OUT", "RESPONSE")
    problems: dict[str, Text] = {}
    urls: list[Text] = []  # on lines of their own: a column of the table would cut what people copy
    for route in picture.routes:
        for url in trusted_first(route.url, route.plain_url):
            urls.append(cell(f"{url} {route.path}".rstrip(), "cyan"))
        routes.add_row(
            cell(route.origin),
            str(route.requests),
            Text(str(route.errors), "red" if route.errors else "dim"),
            str(route.open),
            size(route.bytes_in),
            size(route.bytes_out),
            milliseconds(route.response_seconds),
        )
        if route.problem:
            problems[route.origin] = cell(f"{route.origin} does not answer: {route.problem}", "red")
    tunnels = plain_table()
    for head in ("TUNNEL", "EDGE", "ADDRESS"):
        tunnels.add_column(head, no_wrap=True)
    add_numbers(tunnels, "PING")
    tunnels.add_column("STATE", overflow="fold")
    for row in picture.tunnels:
        state = cell(row.state, "green" if row.is_up else "yellow")
        tunnels.add_row(str(row.number), cell(row.edge), cell(row.address), milliseconds(row.ping_seconds), state)
    hint = "finishing what is under way; Ctrl-C again stops at once" if picture.is_draining else "Ctrl-C stops"
    return Group(Text(), *urls, Text(), routes, *problems.values(), Text(), tunnels, Text(), Text(hint, "dim"))


def trusted_first(url: str, plain_url: str) -> list[str]:
    """
    Return the URLs that there are, first the one that a browser opens without a warning.

    No authority that browsers trust vouches for names below `.localhost`, as those of a demo are.
    """
    found = [each for each in (url, plain_url) if each]
    return found[::-1] if _LOCAL_URL.match(url) else found


def sentence(event: Event) -> list[str]:
    """Say what happened, in no line, one, or several; edges chose some of the words, and none of the lines."""
    return [printable(line) for line in _sentence(event)]


def _sentence(event: Event) -> list[str]:
    match event:
        case Enrolled():
            return [f"enrolled as agent {event.agent_id}, for {', '.join(event.hostnames)}"]
        case Delayed():
            return [f"{event.reason}; again in {event.retry_seconds:.0f} s"]
        case Dialing():
            return [f"dialing as agent {event.agent_id}"]
        case TunnelUp():
            return [f"tunnel {event.tunnel} is up: {event.edge} at {event.address}"]
        case TunnelDown(retry_seconds=None):
            return []
        case TunnelDown():
            return [f"tunnel {event.tunnel} is down: {event.reason}; again in {event.retry_seconds:.1f} s"]
        case Published():
            named = [*event.urls.items(), *event.plain_urls.items()]
            if all(map(_LOCAL_URL.match, event.urls)):
                named = [*event.plain_urls.items(), *event.urls.items()]
            return [f"{url} -> {service}" for url, service in named]
        case Protected():
            return [
                f"{hostname} is protected by the edge: {'; '.join(what)}" for hostname, what in event.hostnames.items()
            ]
        case NameUnanswered():
            asked = f"{event.server} ({event.address}) does not answer {event.hostname}: {event.answer}"
            return [f"{asked}; visitors whose resolver asks it may not find it"]
        case Shared():
            return [
                f"{hostname} is shared with {others} other agent{'s' * (others > 1)} of the group {event.group}"
                for hostname, others in event.hostnames.items()
            ]
        case OriginChanged(healthy=True):
            return [f"{event.origin} answers again"]
        case OriginChanged():
            return [f"{event.origin} does not answer: {event.detail}; visitors see 502 until it does"]
        case CertificateRenewed():
            return [f"the certificate was renewed, for {span(event.valid_until - time())}"]
        case ClockSuspected(suspicion=""):
            return ["this machine's clock and the edge's agree again"]
        case ClockSuspected():
            return [f"{event.suspicion}; set it: nothing is served until both agree"]
        case Reloaded():
            later = f"; needs a restart: {', '.join(event.needs_restart)}" if event.needs_restart else ""
            return [f"settings taken: {event.routes} routes{later}"]
        case ReloadRefused():
            return [f"settings refused, the old ones stay: {event.reason}"]
        case Refused():
            return []  # told as the error that ends the command
        case Draining():
            return [f"draining: {event.streams} streams, at most {event.deadline_seconds:g} s"]
        case Stopped():
            return ["stopped"]
    return [type(event).__name__]


class View(Protocol):
    """Shows events, pictures, and lines that stay."""

    def tell(self, event: Event) -> None:
        """Show an event."""

    def draw(self, agent: "AgentService") -> None:
        """Show how an agent is doing now."""

    def say(self, line: str) -> None:
        """Show a line of the log."""

    def close(self) -> None:
        """Show nothing more."""


class Screen(LivePicture):
    """Redraws the picture in place, below the events that matter later too."""

    def __init__(self, console: Console) -> None:
        self._reasons: dict[int, str] = {}
        self._published: set[str] = set()
        self._urls: set[str] = set()  # that were told; a name that DNS does not answer yet is none of them
        self._agent: AgentService | None = None
        super().__init__(console, Text("connecting…", "dim"))

    def tell(self, event: Event) -> None:
        """Note why tunnels are down, and print what the picture does not show."""
        if isinstance(event, TunnelDown):
            self._reasons[event.tunnel] = event.reason
        elif isinstance(event, Published):  # as lines of their own: a narrow table cuts URLs, which people copy
            for line in sentence(event):
                if line not in self._published:
                    self._published.add(line)
                    self.say(line)
            self._urls = {*event.urls, *event.plain_urls}
        elif not isinstance(event, Dialing | TunnelUp | Draining | Stopped | OriginChanged):
            for line in sentence(event):
                self.say(line)
        if self._agent is not None:
            self.draw(self._agent)

    def draw(self, agent: "AgentService") -> None:
        """Draw."""
        self._agent = agent
        self.redraw(draw(without_urls_to_come(picture_of(agent, self._reasons), self._urls)))


class Lines:
    """
    Prints a line for each event; of attempts that fail for one reason, only those after which it waits twice as long.

    :param write: prints a line; `complain` prints one where errors go.
    :param finish: waits until both are done.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        complain: Callable[[str], None],
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._complain = complain
        self._finish = finish
        self._told_down: dict[int, tuple[str, float]] = {}

    def tell(self, event: Event) -> None:
        """Print what happened."""
        if isinstance(event, TunnelUp):
            self._told_down.pop(event.tunnel, None)
        elif isinstance(event, TunnelDown) and event.retry_seconds is not None:
            reason, seconds = self._told_down.get(event.tunnel, ("", 0.0))
            if event.reason == reason and event.retry_seconds < 2 * seconds:
                return  # an edge that is away for a day would fill the screen
            self._told_down[event.tunnel] = event.reason, event.retry_seconds
        for line in sentence(event):
            self._write(line)

    def draw(self, agent: "AgentService") -> None:
        """Only changes are printed."""

    def say(self, line: str) -> None:
        """Print a line of the log."""
        self._complain(line)

    def close(self) -> None:
        """Wait for the last lines, and for each that is still to come, but not for ever."""
        self._finish()


class Objects(Lines):
    """Prints each event as a JSON object, with `at`, the time of day in UTC."""

    def tell(self, event: Event) -> None:
        """Print the event."""
        at = datetime.fromtimestamp(time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(printable_json(msgspec.json.encode({"at": at, **msgspec.to_builtins(event)}).decode()))


def open_view(as_json: bool) -> View:
    """Return the view for where standard output goes. A reader of lines that stops does not stop the agent."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal and not as_json:
        return Screen(console)
    errors = NonblockingWriter(stream_sink(sys.stderr))
    output = NonblockingWriter(
        stream_sink(sys.stdout),
        resumed=lambda lines: _write(errors, f"warp: {lines} lines were not printed, as nobody read them"),
    )

    def finish() -> None:
        for writer in (output, errors):
            writer.finish(FINISH_SECONDS)

    return (Objects if as_json else Lines)(partial(_write, output), partial(_write, errors), finish)


def _write(writer: NonblockingWriter, line: str) -> None:
    writer.write(f"{line}\n".encode("utf-8", "backslashreplace"))


def size(count: int) -> str:
    """Write a number of bytes in the unit that suits it: `1.2 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def milliseconds(seconds: float | None) -> str:
    """Write a short time, or a dash if it is not known."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"

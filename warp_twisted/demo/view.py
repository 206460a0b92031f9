"""
What `warp demo` shows while it runs: the lines to try, and below them routes and requests, redrawn twice a second.

`Tail` reads what the access log gained; the rest is pure: a `Picture` in, text out. On a terminal the picture is drawn
by rich in place; anywhere else `Lines` prints what changed, so that a log of the demo reads well too.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from warp_twisted.cli.terminal import LivePicture, add_numbers, cell, plain_table

RECENT = 8
MAX_READ_BYTES = 1 << 20  # of the access log at one look; what is older is not looked at


class Request(msgspec.Struct, frozen=True):
    """A line of the access log, as far as it is shown."""

    time: str
    method: str
    host: str
    path: str
    status: int
    duration_ms: float
    bytes_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLine:
    """One hostname that is served."""

    url: str
    service: str
    tunnels: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to see at one moment."""

    routes: Sequence[RouteLine] = ()
    recent: Sequence[Request] = ()
    dns_queries: int = 0
    visitors: int = 0


@dataclass
class Tail:
    """The last requests of an access log that grows."""

    path: Path
    recent: deque[Request] = field(default_factory=lambda: deque(maxlen=RECENT))
    _read_bytes: int = 0
    _rest: bytes = b""

    def look(self) -> list[Request]:
        """Read what is new, and return it."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size - self._read_bytes > MAX_READ_BYTES:
                    self._read_bytes, self._rest = size - MAX_READ_BYTES, b""
                file.seek(self._read_bytes)
                data = self._rest + file.read()
        except FileNotFoundError:
            return []
        self._read_bytes = size
        *lines, self._rest = data.split(b"\n")
        new = [request for line in lines if (request := _request(line))]
        self.recent.extend(new)
        return new


def welcome(
    *,
    url: str,
    secure_url: str,
    root_file: Path,
    policy_directory: Path,
    hostname: str,
    dns_port: int,
    command: str,
    moved: Iterable[str],
) -> list[str]:
    """
    Return the lines that tell what runs and what to try.

    :param policy_directory: where the files are that a policy names.
    :param command: how this `warp` is called, for the line that joins.
    :param moved: what to say about ports that were taken.
    """
    notes = [f"Note: {note}" for note in moved]
    return [
        *notes,
        *([""] if notes else []),
        f"  {url}",
        "",
        "Try, in another terminal:",
        f"  curl {url}echo",
        f"  curl --cacert {root_file} {secure_url}echo",
        f"  dig @127.0.0.1 -p {dns_port} {hostname}",
        f"  {command} status",
        "",
        "Put an application of your own behind it:",
        f"  {command} up http://localhost:3000",
        "",
        f"Say who may come, in a policy; the files that it names belong into {policy_directory}:",
        f"  {command} policy apply policy.yaml",
        "",
        "Everything is in this process, on loopback. Ctrl-C ends it and leaves nothing behind.",
    ]


def draw(picture: Picture) -> RenderableType:
    """Draw a picture for a terminal."""
    routes = plain_table()
    routes.add_column("URL", no_wrap=True)
    routes.add_column("SERVICE", no_wrap=True, overflow="ellipsis")
    add_numbers(routes, "TUNNELS", "REQUESTS", "ERRORS")
    for route in picture.routes:
        cells = str(route.tunnels), str(route.requests), Text(str(route.errors), "red" if route.errors else "dim")
        routes.add_row(cell(route.url, "cyan"), cell(route.service), *cells)
    if not picture.routes:
        routes.add_row(Text("no application is connected", "dim"))
    recent = plain_table(show_header=False)
    add_numbers(recent, "", "")
    recent.add_column(no_wrap=True, overflow="ellipsis")
    for request in picture.recent:
        colour = "red" if request.status >= 500 else "yellow" if request.status >= 400 else "green"
        line = cell(f"{request.method} {request.host}{request.path}")
        recent.add_row(Text(str(request.status), colour), f"{request.duration_ms:.1f} ms", line)
    totals = Text(f"DNS queries {picture.dns_queries}   visitors connected {picture.visitors}", "dim")
    return Group(Text(), routes, Text(), totals, recent)


class View(Protocol):
    """Shows pictures one after the other."""

    def show(self, picture: Picture) -> None:
        """Show the newest picture."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Show nothing more."""


class Screen(LivePicture):
    """Redraws the picture in place, below what was said."""

    def __init__(self, console: Console) -> None:
        self._shown = Picture()
        super().__init__(console, draw(self._shown))

    def show(self, picture: Picture) -> None:
        """Draw, if there is anything new."""
        if picture != self._shown:
            self._shown = picture
            self.redraw(draw(picture))


class Lines:
    """
    Prints what changed, a line each.

    :param write: prints a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._urls: dict[str, str] = {}

    def show(self, picture: Picture) -> None:
        """Say which applications came and went."""
        urls = {route.url: route.service for route in picture.routes}
        for url in urls.keys() - self._urls.keys():
            self._write(f"connected: {url} -> {urls[url]}")
        for url in self._urls.keys() - urls.keys():
            self._write(f"gone: {url}")
        self._urls = urls

    def say(self, line: str) -> None:
        """Print a line."""
        self._write(line)

    def close(self) -> None:
        """There is nothing to put back."""


def _request(line: bytes) -> Request | None:
    try:
        return msgspec.json.decode(line, type=Request)
    except msgspec.DecodeError:
        return None

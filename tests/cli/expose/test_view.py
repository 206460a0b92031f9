"""Tests of `warp_twisted.cli.expose.view`."""

import io
import json
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from warp_base.escaping import printable
from warp_twisted.agent import events
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.origins.dial import DialResult
from warp_twisted.agent.origins.splice import Traffic
from warp_twisted.agent.service import AgentService
from warp_twisted.cli.expose.view import (
    Lines,
    Objects,
    Picture,
    RouteRow,
    Screen,
    TunnelRow,
    draw,
    milliseconds,
    open_view,
    picture_of,
    sentence,
    size,
    trusted_first,
    without_urls_to_come,
)
from warp_twisted.wire.preamble import OpeningCode

TUNNEL = TunnelRow(number=0, edge="edge1", address="192.0.2.1:7844", state="up", is_up=True, ping_seconds=0.0042)
ROUTE = RouteRow(
    url="https://app.warp.example",
    plain_url="http://app.warp.example",
    path="^/api/",
    origin="http://localhost:3000",
    requests=12,
    errors=3,
    open=1,
    bytes_in=1500,
    bytes_out=2_500_000,
    response_seconds=0.0123,
    problem="connection refused",
)
EVERY_EVENT = [
    events.Enrolled(agent_id="a-1", hostnames=["*.warp.example"]),
    events.TunnelUp(tunnel=0, edge="edge1", address="192.0.2.1:7844"),
    events.TunnelDown(tunnel=0, address="192.0.2.1:7844", reason="refused", retry_seconds=1.5),
    events.TunnelDown(tunnel=0, address="192.0.2.1:7844", reason="drained", retry_seconds=None),
    events.Published(
        urls={"https://app.warp.example": "http://localhost:3000"},
        plain_urls={"http://app.warp.example:8080": "http://localhost:3000"},
    ),
    events.Protected(hostnames={"app.warp.example": ["only from 192.0.2.0/24", "50/s for each visitor"]}),
    events.NameUnanswered(
        hostname="app.warp.example", server="ns2.warp.example", address="192.0.2.53:53", answer="NXDOMAIN"
    ),
    events.Shared(group="shop", hostnames={"app.warp.example": 2, "blog.warp.example": 1}),
    events.OriginChanged(origin="http://localhost:3000", healthy=False, detail="refused"),
    events.OriginChanged(origin="http://localhost:3000", healthy=True, detail=""),
    events.CertificateRenewed(valid_until=4e9),
    events.ClockSuspected(suspicion="this machine's clock seems to be 2 h behind the edge's"),
    events.ClockSuspected(suspicion=""),
    events.Reloaded(routes=2, needs_restart=["tunnels"]),
    events.ReloadRefused(reason="bad"),
    events.Refused(reason="gone (revoked)"),
    events.Draining(streams=1, deadline_seconds=30.0),
    events.Delayed(reason="no edge answers", retry_seconds=5.0),
    events.Dialing(agent_id="a-1"),
    events.Stopped(),
]


def agent() -> AgentService:
    """Return what looks like an agent with one tunnel and one route."""
    offer = SimpleNamespace(id=1, hostname="app.warp.example", path="", service="http://localhost:3000")
    last = DialResult(OpeningCode.ORIGIN_REFUSED, "connection refused", 0.1)
    traffic = Traffic(open=1, opened=2, failed=3, to_origin=4, from_origin=5, requests=2, response_seconds=1.0)
    seen = SimpleNamespace(
        links=[
            SimpleNamespace(
                index=0,
                edge_name="edge1",
                edge=EdgeAddress("192.0.2.1", 7844),
                is_up=True,
                tunnel=SimpleNamespace(round_trip_seconds=0.001),
            ),
            SimpleNamespace(index=1, edge_name="", edge=None, is_up=False, tunnel=None),
        ],
        routes=SimpleNamespace(
            offered=[SimpleNamespace(offer=offer, traffic=traffic, origin=SimpleNamespace(last=last))]
        ),
        urls={},
        plain_urls={1: "http://app.warp.example"},
        is_stopping=False,
    )
    return cast(AgentService, seen)


def rendered(picture: Picture) -> str:
    """Return what a terminal would show."""
    written = io.StringIO()
    Console(file=written, width=160).print(draw(picture))
    return written.getvalue()


class DrawTests(SynchronousTestCase):
    """The picture."""

    def test_everything_is_there(self) -> None:
        """URL, origin, counts, times, tunnels with edge, address and ping, and what is wrong."""
        text = rendered(Picture(tunnels=[TUNNEL], routes=[ROUTE]))
        for part in (
            "https://app.warp.example ^/api/",
            "http://app.warp.example ^/api/",
            "http://localhost:3000",
            "12",
            "1.5 kB",
            "2.5 MB",
            "12.3 ms",
            "edge1",
            "192.0.2.1:7844",
            "4.2 ms",
            "http://localhost:3000 does not answer: connection refused",
            "Ctrl-C stops",
        ):
            self.assertIn(part, text)
        self.assertIn("Ctrl-C again stops at once", rendered(Picture(is_draining=True)))

    def test_urls_are_whole(self) -> None:
        """A URL stands on a line of its own, however wide the terminal and whatever else there is to show."""
        url = "https://civil-rose-235.team.warp.example:8443"
        picture = Picture(tunnels=[TUNNEL], routes=[replace(ROUTE, url=url, path="", origin="http://localhost:30000")])
        for width in (60, 80, 100, 120):
            written = io.StringIO()
            Console(file=written, width=width).print(draw(picture))
            self.assertIn(url, [line.strip() for line in written.getvalue().splitlines()])

    def test_url_that_browsers_trust(self) -> None:
        """Below .localhost, where no browser trusts the certificate, plain HTTP comes first; elsewhere HTTPS."""
        for name, first in (
            ("a.warp.localhost:8443", "http"),
            ("a.warp.example", "https"),
            ("localhost.example", "https"),
        ):
            urls = trusted_first(f"https://{name}", f"http://{name}")
            told = sentence(events.Published(urls={urls[0]: "x"}, plain_urls={}))
            self.assertEqual([url.partition(":")[0] for url in urls], [first, "http" if first == "https" else "https"])
            self.assertEqual(told, [f"{urls[0]} -> x"])
        lines = sentence(
            events.Published(urls={"https://a.localhost": "x"}, plain_urls={"http://a.localhost:8080": "x"})
        )
        self.assertEqual(lines, ["http://a.localhost:8080 -> x", "https://a.localhost -> x"])

    def test_dumb_terminal(self) -> None:
        """A terminal that cannot move its cursor is shown lines, as a file is."""
        self.patch(os, "environ", {**os.environ, "TERM": "dumb", "FORCE_COLOR": "1"})
        self.assertIs(type(open_view(as_json=False)), Lines)

    def test_markup_is_text(self) -> None:
        """What comes from outside is never read as rich's markup."""
        row = TunnelRow(number=0, edge="e", address="a", state="[red]x[/nope]", is_up=False, ping_seconds=None)
        self.assertIn("[red]x[/nope]", rendered(Picture(tunnels=[row])))

    def test_hostile(self) -> None:
        """What an edge, an origin or a rule says is shown in letters, in each column."""
        picture = Picture(
            routes=[replace(ROUTE, url=HOSTILE, plain_url="", path=HOSTILE, origin=HOSTILE, problem=HOSTILE)],
            tunnels=[replace(TUNNEL, edge=f"[bold]{HOSTILE}", address=HOSTILE, state=HOSTILE)],
        )
        written = io.StringIO()
        Console(file=written, width=1000).print(draw(picture))
        self.assertTrue(is_safe(written.getvalue(), "\n"))
        self.assertEqual(written.getvalue().count(printable(HOSTILE)), 8)
        self.assertIn(f"[bold]{printable(HOSTILE)}", written.getvalue())

    def test_picture_of_an_agent(self) -> None:
        """An agent is looked at through its public door."""
        picture = picture_of(agent(), {1: "connection refused"})
        self.assertEqual([row.state for row in picture.tunnels], ["up", "connection refused"])
        (route,) = picture.routes
        self.assertEqual((route.url, route.requests, route.errors), ("app.warp.example", 5, 3))
        self.assertEqual((route.response_seconds, route.problem), (0.5, "connection refused"))

    def test_urls_to_come(self) -> None:
        """A route whose URL was not told yet shows its name, and that DNS does not have it."""
        named = replace(ROUTE, url="app.warp.example", plain_url="")
        picture = Picture(tunnels=[TUNNEL], routes=[ROUTE, named])
        self.assertEqual(without_urls_to_come(picture, {ROUTE.url}), picture)
        text = rendered(without_urls_to_come(picture, ()))
        self.assertIn("app.warp.example (not in DNS yet) ^/api/", text)
        self.assertNotIn("://app.warp.example", text)

    def test_units(self) -> None:
        """Sizes and times are short."""
        self.assertEqual(
            [size(n) for n in (0, 999, 1000, 10**7, 10**12)], ["0 B", "999 B", "1.0 kB", "10.0 MB", "1.0 TB"]
        )
        self.assertEqual((milliseconds(None), milliseconds(0.5)), ("-", "500.0 ms"))


class EventTests(SynchronousTestCase):
    """Events as lines and as JSON."""

    def test_every_event_has_words(self) -> None:
        """Nothing is shown by the name of its class, and only what is told elsewhere has no line."""
        for event in EVERY_EVENT:
            lines = sentence(event)
            self.assertNotIn(type(event).__name__, lines)
            if not isinstance(event, events.Refused) and getattr(event, "retry_seconds", 0) is not None:
                self.assertTrue(lines, event)

    def test_every_kind_is_covered(self) -> None:
        """A new kind of event must be added to this test."""
        self.assertEqual({type(event) for event in EVERY_EVENT}, set(events.Event.__subclasses__()))

    def test_lines(self) -> None:
        """Events go to one place, the log to another."""
        written: list[str] = []
        complained: list[str] = []
        view = Lines(written.append, complained.append)
        view.tell(EVERY_EVENT[4])
        view.say("warn: x")
        view.close()
        self.assertEqual(
            written,
            [
                "https://app.warp.example -> http://localhost:3000",
                "http://app.warp.example:8080 -> http://localhost:3000",
            ],
        )
        self.assertEqual(complained, ["warn: x"])

    def test_tunnel_that_stays_down(self) -> None:
        """A tunnel that fails again for the same reason is told when its wait has doubled, or after it was up."""
        written: list[str] = []
        view = Lines(written.append, self.fail)

        def fail(reason: str, *waits: float, tunnel: int = 0) -> None:
            for seconds in waits:
                view.tell(events.TunnelDown(tunnel=tunnel, address="a:1", reason=reason, retry_seconds=seconds))

        fail("refused", 0.5, 0.4, 0.9, 1.0, 1.9, 1.5, 30.0, 29.0, 30.0)
        fail("refused", 0.5, 0.6, tunnel=1)
        fail("copied", 28.0)
        view.tell(events.TunnelUp(tunnel=0, edge="edge1", address="a:1"))
        fail("copied", 0.5)
        self.assertEqual(
            written,
            [
                "tunnel 0 is down: refused; again in 0.5 s",
                "tunnel 0 is down: refused; again in 1.0 s",
                "tunnel 0 is down: refused; again in 30.0 s",
                "tunnel 1 is down: refused; again in 0.5 s",
                "tunnel 0 is down: copied; again in 28.0 s",
                "tunnel 0 is up: edge1 at a:1",
                "tunnel 0 is down: copied; again in 0.5 s",
            ],
        )

    def test_objects(self) -> None:
        """Each event is one JSON object with its kind and the time."""
        written: list[str] = []
        view = Objects(written.append, written.append)
        for event in EVERY_EVENT:
            view.tell(event)
        objects = [json.loads(line) for line in written]
        self.assertEqual(len({each["event"] for each in objects}), len(events.Event.__subclasses__()))
        self.assertTrue(all(each["at"].endswith("Z") for each in objects))

    def test_hostile(self) -> None:
        """What an edge says is one line of the log and of JSON, and does nothing to the terminal that shows it."""
        event = events.TunnelDown(tunnel=0, address="a:1", reason=f"x\n{HOSTILE}", retry_seconds=1.0)
        written: list[str] = []
        for view in (Lines(written.append, written.append), Objects(written.append, written.append)):
            view.tell(event)
        line, json_line = written
        self.assertEqual(line, f"tunnel 0 is down: x\\x0a{printable(HOSTILE)}; again in 1.0 s")
        self.assertTrue(is_safe(json_line))
        self.assertEqual(json.loads(json_line)["reason"], event.reason)

    def test_screen(self) -> None:
        """On a terminal the picture is redrawn, and what it does not show is printed above it."""
        written = io.StringIO()
        screen = Screen(Console(file=written, force_terminal=True, width=160))
        for event in EVERY_EVENT:
            screen.tell(event)
        screen.draw(agent())
        screen.say("a [line]")
        screen.close()
        text = written.getvalue()
        for part in ("enrolled as agent a-1", "settings refused", "app.warp.example", "a [line]"):
            self.assertIn(part, text)

    def test_narrow_screen(self) -> None:
        """However narrow the terminal is, each URL stands whole in a line of its own, once."""
        written = io.StringIO()
        screen = Screen(Console(file=written, force_terminal=True, width=40))
        published = [event for event in EVERY_EVENT if isinstance(event, events.Published)]
        for event in published * 4:
            screen.tell(event)
        screen.close()
        line = "http://app.warp.example:8080 -> http://localhost:3000"
        self.assertEqual(written.getvalue().count(line), 1)

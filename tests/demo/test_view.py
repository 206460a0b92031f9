"""Tests of `warp_twisted.demo.view`: what the demo shows, and how it follows the access log."""

from io import StringIO
from pathlib import Path

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from warp_base.escaping import printable
from warp_twisted.demo.view import MAX_READ_BYTES, RECENT, Lines, Picture, Request, RouteLine, Tail, draw, welcome

_LINE = '{"time":"t","method":"GET","host":"a.example","path":"/%d","status":200,"duration_ms":1.5,"more":1}\n'


def _route(url: str, **changes: int) -> RouteLine:
    counts = {"tunnels": 4, "requests": 0, "errors": 0, **changes}
    return RouteLine(url=url, service="http://localhost:3000", **counts)


class TailTests(SynchronousTestCase):
    """Following a file that grows."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.tail = Tail(self.path)

    def append(self, text: str) -> None:
        """Write more of the log."""
        with self.path.open("a") as file:
            file.write(text)

    def test_file_that_is_not_there_yet(self) -> None:
        """There are no requests before the first one."""
        self.assertEqual(self.tail.look(), [])

    def test_each_line_once_and_whole(self) -> None:
        """A line is read when it is complete, and once; other fields of it do not matter."""
        self.append(_LINE % 1 + _LINE[:20])
        self.assertEqual([request.path for request in self.tail.look()], ["/1"])
        self.append(_LINE[20:] % 2)
        self.assertEqual([request.path for request in self.tail.look()], ["/2"])
        self.assertEqual(self.tail.look(), [])
        self.assertEqual([request.path for request in self.tail.recent], ["/1", "/2"])

    def test_lines_that_are_no_requests(self) -> None:
        """What cannot be read is left out."""
        self.append("nonsense\n" + _LINE % 1)
        self.assertEqual(len(self.tail.look()), 1)

    def test_only_the_last_are_kept(self) -> None:
        """The number of requests that are kept is bounded."""
        self.append("".join(_LINE % number for number in range(RECENT + 5)))
        self.tail.look()
        self.assertEqual([request.path for request in self.tail.recent][-1], f"/{RECENT + 4}")
        self.assertEqual(len(self.tail.recent), RECENT)

    def test_flood_is_not_read_whole(self) -> None:
        """Of a log that grew by more than the bound, only the end is read."""
        self.append(_LINE % 1 * (MAX_READ_BYTES // len(_LINE % 1) + 1000))
        self.assertLessEqual(len(self.tail.look()), MAX_READ_BYTES // len(_LINE % 1) + 1)


class DrawTests(SynchronousTestCase):
    """The picture on a terminal."""

    def text(self, picture: Picture) -> str:
        """Draw into text, 100 columns wide."""
        console = Console(width=100, record=True, file=StringIO())
        console.print(draw(picture))
        return console.export_text()

    def test_routes_and_requests(self) -> None:
        """Each route has a line with its counts, each recent request one with status and time."""
        request = Request(time="t", method="POST", host="a.example", path="/x?[red]", status=502, duration_ms=12.34)
        text = self.text(
            Picture(routes=[_route("http://a.example", requests=7, errors=1)], recent=[request], dns_queries=3)
        )
        self.assertRegex(text, r"http://a\.example +http://localhost:3000 +4 +7 +1")
        self.assertRegex(text, r"502 +12\.3 ms +POST a\.example/x\?\[red\]")
        self.assertIn("DNS queries 3", text)

    def test_hostile(self) -> None:
        """What an agent says of its service, and what a visitor asks for, is shown in letters."""
        route = RouteLine(url=HOSTILE, service=f"[red]{HOSTILE}", tunnels=1, requests=0, errors=0)
        request = Request(time="t", method="GET", host="a.example", path=HOSTILE, status=200, duration_ms=1.0)
        console = Console(width=1000, file=StringIO())
        console.print(draw(Picture(routes=[route], recent=[request])))
        shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
        self.assertTrue(is_safe(shown, "\n"))
        self.assertEqual(shown.count(printable(HOSTILE)), 3)
        self.assertIn("[red]", shown)

    def test_nothing_connected(self) -> None:
        """Without a route it says so."""
        self.assertIn("no application is connected", self.text(Picture()))


class LinesTests(SynchronousTestCase):
    """Where there is no terminal."""

    def test_comings_and_goings(self) -> None:
        """A route is told when it comes and when it goes, and not in between."""
        said: list[str] = []
        lines = Lines(said.append)
        for routes in ([], [_route("http://a.example")], [_route("http://a.example", requests=5)], []):
            lines.show(Picture(routes=routes))
        lines.say("warn: something")
        lines.close()
        self.assertEqual(
            said, ["connected: http://a.example -> http://localhost:3000", "gone: http://a.example", "warn: something"]
        )


class WelcomeTests(SynchronousTestCase):
    """The lines to try."""

    def test_ports_that_moved_come_first(self) -> None:
        """Whoever expects port 8080 reads first that it is another."""
        lines = welcome(
            url="http://hello.warp.localhost:1/",
            secure_url="https://hello.warp.localhost:2/",
            root_file=Path("/tmp/x/root.pem"),
            policy_directory=Path("/tmp/x/policy"),
            hostname="hello.warp.localhost",
            dns_port=3,
            command="warp",
            moved=["HTTP port 8080 is taken: using 1"],
        )
        self.assertEqual(lines[0], "Note: HTTP port 8080 is taken: using 1")
        text = "\n".join(lines)
        for wanted in (
            "curl http://hello.warp.localhost:1/echo",
            "curl --cacert /tmp/x/root.pem https://hello.warp.localhost:2/echo",
            "dig @127.0.0.1 -p 3 hello.warp.localhost",
            "warp up http://localhost:3000",
            "belong into /tmp/x/policy:\n  warp policy apply policy.yaml",
        ):
            self.assertIn(wanted, text)

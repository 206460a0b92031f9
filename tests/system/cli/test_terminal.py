"""Tests of what reaches a real terminal (a pty) from the command, whatever agents, edges and visitors say."""

import json
import os
import re
import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.base.test_escaping import HOSTILE, is_safe
from tests.case import AsyncTestCase, reactor
from warp_base.escaping import printable

# What rich and click write themselves: colours, the cursor's line and its visibility.
_OWN = re.compile("\x1b\\[[0-9;]*m|\x1b\\[[0-9]*[AK]|\x1b\\[2K|\x1b\\[\\?25[lh]")
_SCREENS = """
import sys
from rich.console import Console
from warp_twisted.agent import events
from warp_twisted.cli.expose import view
from warp_twisted.demo import view as demo
hostile = sys.argv[1]
screen = view.open_view(as_json=False)
assert isinstance(screen, view.Screen), screen
for event in (
    events.Enrolled(agent_id=hostile, hostnames=[hostile]),
    events.Published(urls={f"http://{hostile}": hostile}),
    events.Delayed(reason=hostile, retry_seconds=1.0),
):
    screen.tell(event)
row = view.TunnelRow(number=0, edge=hostile, address=hostile, state=hostile, is_up=False, ping_seconds=None)
screen.redraw(view.draw(view.Picture(tunnels=[row])))
screen.say(f"warn: {hostile}")
screen.close()
screen = demo.Screen(Console())
request = demo.Request(time="", method="GET", host="a.example", path=hostile, status=200, duration_ms=1.0)
route = demo.RouteLine(url=hostile, service=hostile, tunnels=1, requests=1, errors=0)
screen.show(demo.Picture(routes=[route], recent=[request]))
screen.close()
"""


class _Terminal(ProcessProtocol):
    """A terminal that a program writes to; keeps what came."""

    def __init__(self) -> None:
        self.shown = b""
        self.ended: Deferred[int] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.shown += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(getattr(reason.value, "exitCode", 0) or 0)


class _Hostile(Resource):
    """An edge whose agents have names that no good agent has, and that refuses in such words."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """Answer with lists."""
        agent = {"id": HOSTILE, "hostnames": [HOSTILE], "labels": {HOSTILE: HOSTILE}, "tunnels": 1}
        if request.path == b"/v1/agents":
            return json.dumps([agent]).encode()
        tunnel = {
            "id": HOSTILE, "agent": HOSTILE, "edge": HOSTILE, "address": HOSTILE, "labels": {HOSTILE: ""},
            "hostnames": [HOSTILE], "clock_difference_seconds": 7200.0,
        }  # fmt: skip
        return json.dumps(
            {
                "edge": {"name": HOSTILE, "zone": HOSTILE, "ready": False, "parts": {HOSTILE: False}},
                "registry": {"current": True},
                "edges": [{"name": HOSTILE, "addresses": [HOSTILE]}],
                "tunnels": [tunnel],
                "routes": [{"hostname": HOSTILE, "path": HOSTILE, "tunnels": 1, "services": {HOSTILE: HOSTILE}}],
                "agents": [agent],
            }
        ).encode()

    def render_DELETE(self, request: Request) -> bytes:
        """Refuse."""
        request.setResponseCode(409)
        return json.dumps({"error": HOSTILE}).encode()


class TerminalTests(AsyncTestCase):
    """Real programs on a real pty."""

    timeout = 60

    async def prepare(self) -> None:
        self.path = os.path.relpath(self.mktemp() + ".sock")
        listener = await UNIXServerEndpoint(reactor, self.path).listen(Site(_Hostile()))
        self.addCleanup(listener.stopListening)

    async def show(self, *arguments: str) -> tuple[int, str]:
        """Run our Python on a terminal; return its exit status and all that it wrote there."""
        terminal = _Terminal()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "1000", "PYTHONIOENCODING": "utf-8"}
        environment.pop("NO_COLOR", None)
        reactor.spawnProcess(terminal, sys.executable, [sys.executable, *arguments], env=environment, usePTY=True)
        status = await terminal.ended
        return status, terminal.shown.decode("utf-8", "surrogateescape").replace("\r\n", "\n")

    def check_shown(self, shown: str, count: int) -> None:
        """Assert that a terminal got the words in letters, so often, and nothing to obey but what is ours."""
        self.assertTrue(is_safe(_OWN.sub("", shown), "\n\r"), ascii(shown))
        self.assertGreaterEqual(shown.count(printable(HOSTILE)), count, ascii(shown))

    async def test_operators(self) -> None:
        """Status, lists and refusals, as text and as JSON."""
        for words, expected, count in (
            (["status"], 0, 18),
            (["agent", "list"], 0, 4),
            (["agent", "revoke", "a-1"], 1, 0),  # in one line, so that NEL is a space
        ):
            status, shown = await self.show("-m", "warp_twisted.cli", *words, "--admin", self.path)
            self.assertEqual(status, expected, shown)
            self.check_shown(shown, count)
        for words, where in ((["status"], ("edge", "name")), (["agent", "list"], (0, "id"))):
            status, shown = await self.show("-m", "warp_twisted.cli", *words, "--json", "--admin", self.path)
            self.assertEqual(status, 0, shown)
            self.assertTrue(is_safe(shown, "\n"))
            self.assertEqual(json.loads(shown)[where[0]][where[1]], HOSTILE)

    async def test_pictures(self) -> None:
        """The pictures of `warp up` and of the demo, the lines above them, and the log."""
        status, shown = await self.show("-c", _SCREENS, HOSTILE)
        self.assertEqual(status, 0, ascii(shown))
        self.assertIn("\x1b[", shown, "it is a terminal, with colours")
        self.check_shown(shown, 8)

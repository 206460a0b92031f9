"""Two edge processes, one after the other, under load: nobody is turned away, and old streams survive."""

import contextlib
import json
from time import monotonic

from tests.system.edge.handover.processes import DOWNLOAD_BYTES, HOSTNAME, HandOverTestCase


class HandOverTests(HandOverTestCase):
    """Requests, events, an upgraded connection and a download over hand-overs."""

    def test_twice(self) -> None:
        """Over two hand-overs nothing fails, and what began at the first process ends there."""
        self.visitors.start()
        download = self.visitors.add(self.visitors.download)
        self.visitors.until_asked(100)
        second = self.start()
        self.hand_over(self.edge, second)
        self.visitors.until_asked(100)
        third = self.start()
        self.hand_over(second, third)
        self.visitors.until_asked(100)
        download.join(90)
        self.assertEqual((self.visitors.failures, self.visitors.downloaded), ([], DOWNLOAD_BYTES))
        self.assertEqual((self.edge.process.poll(), third.process.poll()), (None, None))
        self.visitors.stop()
        self.assertEqual(self.visitors.failures, [])
        self.assertLess(self.visitors.worst_seconds, 10.0)
        self.assertLess(self.visitors.lost_queries, 10)
        print(
            f"\n{self.visitors.requests} requests, the worst took {self.visitors.worst_seconds * 1000:.0f} ms;"
            f" {self.visitors.queries} queries, {self.visitors.lost_queries} were asked again"
        )
        self.assertEqual([process.process.wait(90) for process in (self.edge, second)], [0, 0])
        self.assertIn('"edge": "edge1"', self.warp("status", "--json"))

    def test_successor_that_dies(self) -> None:
        """Killed at any step, a successor leaves its predecessor serving, and the next attempt succeeds."""
        self.visitors.start()
        self.visitors.until_asked(20)
        for step in ("prepared", "released", "taking", "serving"):
            successor = self.start()
            successor.says("prepared")
            if step != "prepared":
                self.edge.tell("release")
                released = self.edge.says("released")
            if step in ("taking", "serving"):
                successor.tell("take", tunnels=released["tunnels"], hostnames=released["hostnames"])
                self.edge.tell("move")
            if step == "serving":
                successor.says("serving")
                self.assertEqual(self.visitors.failures, [], step)
                self.visitors.stop()  # what the successor has in hand when it is killed is lost
                self.edge.tell("drain")
            successor.kill()
            if step != "prepared":
                self.edge.tell("resume")
                self.edge.says("resumed")
            if step != "serving":
                self.visitors.until_asked(20)
            self.assertEqual(self.visitors.failures, [], step)
            self.until(lambda: self.page().startswith(b"HTTP/1.1 200"))
            self.assertIn("app.warp.test", self.warp("status", "--json"))
        visitors = self.come()
        visitors.start()
        visitors.until_asked(20)
        self.hand_over(self.edge, self.start())
        visitors.until_asked(100)
        visitors.stop()
        self.assertEqual(visitors.failures, [])

    def test_predecessor_that_dies(self) -> None:
        """Killed at any step, a predecessor leaves a successor that takes over; visitors wait meanwhile."""
        served = self.directory / "state" / "served.json"  # written every five seconds, and what a successor waits for
        self.until(lambda: served.exists() and HOSTNAME in served.read_text())
        for step in ("prepared", "released", "moving", "draining"):
            successor = self.start()
            successor.says("prepared")
            if step != "prepared":
                self.edge.tell("release")
                released = self.edge.says("released")
            if step in ("moving", "draining"):
                successor.tell("take", tunnels=released["tunnels"], hostnames=released["hostnames"])
                self.edge.tell("move")
            if step == "draining":
                successor.says("serving")
                self.edge.tell("drain")
            self.edge.kill()
            if step in ("prepared", "released"):
                successor.tell("take", tunnels=0, hostnames=0)
            head = self.page()
            self.assertTrue(head.startswith(b"HTTP/1.1 200"), (step, head))
            if step != "draining":
                successor.says("serving")
            self.edge = successor

    def test_revoked_while_draining(self) -> None:
        """A revocation cuts what an agent still carries for a process that drains."""
        connection, head = self.visitors.connect("/socket", "Upgrade: websocket\r\nConnection: Upgrade\r\n")
        self.addCleanup(connection.close)
        self.assertTrue(head.startswith(b"HTTP/1.1 101"))
        successor = self.start()
        self.hand_over(self.edge, successor)
        connection.sendall(b"x")
        self.assertEqual(connection.recv(1), b"x")
        (agent,) = {tunnel["agent"] for tunnel in json.loads(self.warp("status", "--json"))["tunnels"]}
        began_at = monotonic()
        self.warp("agent", "revoke", agent)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.recv(1), b"")
        self.assertLess(monotonic() - began_at, 10.0)

    def test_orders_of_the_keeper(self) -> None:
        """A word out of turn is refused; without its keeper a process ends, and the registry is free."""
        self.edge.tell("take")
        self.assertIn("does not take 'take'", str(self.edge.says("refused")["why"]))
        self.edge.tell("dance")
        self.assertIn("unknown word", str(self.edge.says("refused")["why"]))
        self.edge.line.close()
        self.edge.process.wait(90)
        successor = self.start()
        successor.says("prepared")
        successor.process.terminate()
        successor.process.wait(90)

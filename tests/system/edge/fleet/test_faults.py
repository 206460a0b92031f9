"""What breaks between the processes of a fleet: what visitors of the other edge notice, and for how long."""

import signal

from tests.case import reactor, until, until_said
from tests.system.edge.fleet.cable import BACK, FORTH
from tests.system.edge.fleet.processes import APP, FAR, STARTED_SECONDS, Answers, Edge, FleetCase
from tests.system.edge.live import HOST

# What is promised, and what a machine that is busy with other tests adds.
OUT_SECONDS = 2.0 + 2.0
CURRENT_SECONDS = 3.0 + 3.0
TOLD_SECONDS = 1.0 + 2.0
RECONCILED_SECONDS = 5.0 + 5.0
DENY = b"rules: [{name: closed, deny: true}]\n"


class FaultTests(FleetCase):
    """Two edges, of which one, or what is between them, breaks."""

    async def begin(self) -> None:
        """Let visitors of the first edge follow events and keep something upgraded, and wait until all are served."""
        self.events = await self.visitors.open("edge1", APP, "/events")
        fields = (b"Connection: Upgrade", b"Upgrade: websocket")
        self.upgraded = await self.visitors.open("edge1", APP, "/socket", *fields)
        self.began_at = reactor.seconds()
        await self.served(self.began_at, 24)

    async def served(self, since: float, count: int, edge: str = "", hostname: str = "") -> None:
        """Wait until so many requests that were sent since an instant are answered 200."""

        def enough() -> bool:
            return count <= sum(
                each.at >= since and each.status == 200 and edge in ("", each.edge) and hostname in ("", each.hostname)
                for each in self.visitors.asked
            )

        await until(enough, timeout=STARTED_SECONDS)

    async def goes_on(self) -> None:
        """See that what the first edge's visitors have open goes on, and that none of their requests failed."""
        self.assertEqual(self.visitors.failures(self.began_at, "edge1", APP), [])
        for connection, sent in ((self.events, b""), (self.upgraded, b"still there")):
            connection.take()
            if sent:
                connection.send(sent)
            await connection.until(sent or b"data:")
            self.assertFalse(connection.is_lost)

    async def answers_of(self, hostname: str) -> Answers:
        """Begin to ask the first edge for a hostname, and have its first answer."""
        answers = Answers(self.edge1, hostname)
        answers.start()
        self.addCleanup(answers.stop)
        await until(lambda: bool(answers.seen))
        return answers

    def in_time(self, what: str, seconds: float, most: float) -> None:
        """Say how long something took, and see that this was no longer than it may take."""
        print(f"\n{what}: {seconds:.2f} s")
        self.assertLess(seconds, most, what)

    async def test_killed(self) -> None:
        """Of a killed edge only what was in flight fails; DNS names the other one; restarted it is current soon."""
        await self.begin()
        answers = await self.answers_of(FAR)
        killed_at = reactor.seconds()
        self.edge2.program.signal("KILL")
        await self.edge2.program.exited
        await self.edge1.believes(False)
        await until(lambda: answers.when(HOST, since=killed_at) is not None)
        self.in_time("out of DNS after kill -9", answers.when(HOST, since=killed_at) or 0.0, OUT_SECONDS)
        await until(lambda: bool(self.visitors.failures(killed_at, "edge1", FAR)))
        self.edge2.start()
        await self.edge2.serves()
        serves_at = reactor.seconds()
        await self.edge2.believes(True, 4)
        self.in_time("current after it serves", reactor.seconds() - serves_at, CURRENT_SECONDS)
        await self.edge1.believes(True, 2)
        back_at = reactor.seconds()
        await self.served(back_at, 12, "edge1", FAR)
        self.assertEqual(self.visitors.failures(back_at), [])
        await self.goes_on()

    async def test_stands_still(self) -> None:
        """An edge whose process stands still is out within two seconds, and back with a fresh snapshot."""
        await self.begin()
        answers = await self.answers_of(FAR)
        stopped_at = reactor.seconds()
        self.edge2.program.signal(signal.SIGSTOP)
        try:
            await until(lambda: answers.when(HOST, since=stopped_at) is not None)
            self.in_time("out of DNS after SIGSTOP", answers.when(HOST, since=stopped_at) or 0.0, OUT_SECONDS)
            out_at = reactor.seconds()
            await until(lambda: bool(self.visitors.failures(out_at, "edge1", FAR)))
            await self.served(out_at, 12, "edge1", APP)
        finally:
            self.edge2.program.signal(signal.SIGCONT)
        await self.edge1.believes(True, 4)
        back_at = reactor.seconds()
        await self.served(back_at, 12, "edge1", FAR)
        await self.served(back_at, 12, "edge2")
        self.assertEqual(self.visitors.failures(back_at), [])
        await self.goes_on()

    async def test_cut_between_edges(self) -> None:
        """Edges that do not hear each other serve what is theirs; a link that passes one way only counts as cut."""
        await self.begin()
        for directions in ((FORTH, BACK), (FORTH,), (BACK,)):
            cut_at = reactor.seconds()
            self.edge2.peers.cut(*directions)
            await self.edge1.believes(False)
            await self.edge2.believes(False)
            self.in_time(f"dead after a cut {directions}", reactor.seconds() - cut_at, OUT_SECONDS)
            out_at = reactor.seconds()
            await until(lambda: bool(self.visitors.failures(out_at, "edge1", FAR)))  # noqa: B023 -- awaited here
            await self.served(out_at, 12, "edge2")
            self.edge2.peers.mend()
            await self.edge1.believes(True, 4)
            await self.served(reactor.seconds(), 8, "edge1", FAR)
        self.assertEqual(self.visitors.failures(self.began_at, "edge2"), [])
        await self.goes_on()

    async def test_cut_between_agents_and_an_edge(self) -> None:
        """An agent that reaches one of its edges only is served through that one at both."""
        await self.begin()
        self.to_edge2.cut()
        cut_at = reactor.seconds()
        await self.served(cut_at, 40, "edge2", APP)
        self.assertEqual(self.visitors.failures(cut_at, hostname=APP), [])
        self.to_edge2.mend()
        await self.served(reactor.seconds(), 12, "edge1", FAR)
        await self.goes_on()

    async def test_told(self) -> None:
        """What an operator does at one edge acts at the other within a second, and after a cut, also without etcd."""
        await self.begin()
        await self.policy(self.edge1, DENY, 403, self.edge2)
        await self.policy(self.edge2, b"", 200, self.edge1)
        self.edge1.etcd.cut()
        changed_at = reactor.seconds()
        status, applied = await self.edge2.call("POST", "/v1/policy", DENY)
        self.assertEqual(status, 200, applied)
        await self.answers(self.edge2, 403, changed_at + TOLD_SECONDS)
        mended_at = reactor.seconds()
        self.edge1.etcd.mend()
        await self.answers(self.edge1, 403, mended_at + RECONCILED_SECONDS)

    async def test_without_etcd(self) -> None:
        """Without etcd all goes on but what must last; revocations and bans act at once, and are kept afterwards."""
        await self.begin()
        far = await self.agent_id("far")
        status, token = await self.edge1.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]})
        self.assertEqual(status, 200, token)
        await self.etcd.end()
        ended_at = reactor.seconds()
        await self.served(ended_at, 24)
        status, refused = await self.edge1.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]})
        self.assertEqual(status, 503)
        self.assertIn("registry cannot be written", refused["error"])
        self.assertEqual((await self.edge2.call("POST", "/v1/policy", DENY))[0], 503)
        self.assertEqual(self.visitors.failures(self.began_at), [])
        self.edge2.peers.cut()
        await self.edge1.believes(False)
        status, revoked = await self.edge1.call("DELETE", f"/v1/agents/{far}")
        self.assertEqual((status, revoked["was_known"]), (200, True))
        self.assertEqual((await self.edge1.call("POST", "/v1/bans", {"network": "192.0.2.9"}))[0], 200)
        self.edge2.peers.mend()
        mended_at = reactor.seconds()
        await until(lambda: bool(self.visitors.failures(mended_at, "edge2", FAR)))
        await self.banned(self.edge2)
        self.in_time("revoked and banned after a cut", reactor.seconds() - mended_at, RECONCILED_SECONDS)
        await self.etcd.start()
        started_at = reactor.seconds()
        for edge in self.edges():

            async def is_reconciled(edge: Edge = edge) -> bool:
                status, _ = await edge.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]})
                return status == 200

            await until_said(is_reconciled, STARTED_SECONDS)
        self.in_time("reconciled after etcd is back", reactor.seconds() - started_at, RECONCILED_SECONDS)
        for edge in self.edges():
            agents = {each["id"]: each for each in await edge.get("/v1/agents")}
            self.assertIn("revoked_at", agents[far])
            self.assertIn(token["id"], [each["id"] for each in await edge.get("/v1/tokens")])
        self.assertEqual(self.visitors.failures(self.began_at, hostname=APP), [])
        await self.goes_on()

    async def policy(self, edge: Edge, text: bytes, status: int, other: Edge) -> None:
        """Put a policy in force at one edge, and see that visitors of the other get a status in time."""
        changed_at = reactor.seconds()
        answered, applied = await edge.call("POST", "/v1/policy", text or b"rules: []\n")
        self.assertEqual(answered, 200, applied)
        await self.answers(other, status, changed_at + TOLD_SECONDS)

    async def answers(self, edge: Edge, status: int, until_at: float) -> None:
        """Wait until visitors of an edge get a status, and see that this was in time."""
        since = reactor.seconds()
        await until(
            lambda: any(
                each.at >= since and (each.edge, each.status) == (edge.name, status) for each in self.visitors.asked
            )
        )
        self.in_time(f"visitors of {edge.name} get {status}", reactor.seconds() - since, until_at - since)

    async def banned(self, edge: Edge) -> None:
        """Wait until a ban acts at an edge."""

        async def ask() -> bool:
            return "192.0.2.9" in [each["network"] for each in await edge.get("/v1/bans")]

        await until_said(ask)

"""An edge whose registry is a real etcd, asked over TLS: what it serves, refuses, says and makes up for without it."""

import time
from pathlib import Path

from tests.case import reactor, until
from tests.system.edge.live import ask, new_token
from tests.system.edge.test_admin import AdminTestCase
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.ca.issue import utc
from warp_twisted.ca.registry_certificates import Use
from warp_twisted.ca.registry_files import add_certificate, init_registry
from warp_twisted.ca.tokens import parse_token
from warp_twisted.edge.check import check_edge
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.wire.control import Accepted, Enrolled, EnrollRefused, Refused

HOSTNAME = "app.warp.test"
NOTICED_SECONDS = 40.0  # a beat and the time it has; more where the machine is busy
RECONCILED_SECONDS = 15.0  # a pause of 2 s and a call; more where the machine is busy


class EtcdEdgeTests(AdminTestCase):
    """One edge and one agent."""

    timeout = 240

    async def prepare(self) -> None:
        """Start etcd and an edge, and enroll an agent."""
        files = Path(self.mktemp())
        now = utc(time.time())
        init_registry(files, "warp.test", now)
        server, _ = add_certificate(files, Use.SERVER, "etcd1", ("127.0.0.1",), now)
        self.own, _ = add_certificate(files, Use.CLIENT, "edge1", (), now)
        self.root = files / "registry-root.pem"
        self.etcd = EtcdPeer(
            f"--cert-file={server}",
            f"--key-file={server.with_suffix('.key')}",
            "--client-cert-auth",
            f"--trusted-ca-file={self.root}",
        )
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        etcd = {
            "endpoints": [self.etcd.url],
            "ca": str(self.root),
            "certificate": str(self.own),
            "key": str(self.own.with_suffix(".key")),
        }
        self.sections = {"registry": {"etcd": etcd}}
        await super().prepare()
        self.served = await self.agent()
        self.text = await new_token(self.node)

    async def away(self) -> None:
        """Wait until the edge has noticed."""
        await until(lambda: bool(self.node.parts.store.problem), timeout=NOTICED_SECONDS)

    async def back(self) -> None:
        """Wait until the edge has everything, which takes no longer than it may."""
        store, began = self.node.parts.store, reactor.seconds()
        await until(lambda: not store.problem and not store.owed, timeout=NOTICED_SECONDS)
        self.assertLess(reactor.seconds() - began, RECONCILED_SECONDS)

    async def serves_what_it_can(self) -> None:
        """See that the agent serves, and that what must last is refused with a reason."""
        self.served.port = self.port
        self.assertIsInstance(await self.served.register(HOSTNAME), Accepted)
        self.assertTrue(self.published(HOSTNAME))
        status, ready = await self.call("GET", "/ready")
        self.assertEqual((status, ready["ready"]), (200, True))
        self.assertIn("it cannot be written: etcd", ready["problems"]["registry"])
        status, answer = await self.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]})
        self.assertEqual(status, 503)
        self.assertIn("the registry cannot be written: etcd", answer["error"])
        refused, _ = await ask(self.port, parse_token(self.text))
        assert isinstance(refused, EnrollRefused)
        self.assertEqual((refused.code, refused.retry_seconds), ("unavailable", 2.0))

    async def test_killed_and_restarted(self) -> None:
        """
        Etcd is killed: agents are served, a revocation acts and outlives the edge, which starts without etcd. Started
        again from its disk, etcd has it within 5 s, and everything that it had acknowledged.
        """
        other = await self.agent()
        await self.etcd.end()
        await self.away()
        await self.serves_what_it_can()
        status, answer = await self.call("DELETE", f"/v1/agents/{self.served.id}")
        self.assertEqual((status, answer["not_kept"]), (200, ""))
        await until(lambda: self.served.tunnels[-1].is_over)
        self.assertIn("warp_edge_registry_owed 2.0", (await self.call("GET", "/metrics"))[1])
        await self.node.stopService()
        self.node = await self.start()
        self.served.port = other.port = self.port
        answer = await self.served.register(HOSTNAME)
        assert isinstance(answer, Refused)
        self.assertEqual(answer.code, "revoked")
        self.assertIsInstance(await other.register("other.warp.test"), Accepted)
        await self.etcd.start()
        await self.back()
        self.assertEqual((await self.call("GET", "/ready"))[1]["problems"], {})
        enrolled, _ = await ask(self.port, parse_token(self.text))  # made before etcd was killed
        self.assertIsInstance(enrolled, Enrolled)
        await self.node.stopService()
        (self.directory / "state" / "etcd-copy.sqlite").unlink()
        self.node = await self.start()
        self.assertIn(self.served.id, self.node.parts.mirror.revocations)
        self.assertIn(other.id, self.node.parts.mirror.agents)

    async def test_hangs(self) -> None:
        """An etcd that keeps its connections and says nothing is one that is away; it comes back by itself."""
        self.etcd.pause()
        try:
            await self.away()
            await self.serves_what_it_can()
        finally:
            self.etcd.go_on()
        await self.back()
        self.assertEqual((await self.call("POST", "/v1/tokens", {"hostnames": ["*.warp.test"]}))[0], 200)

    async def test_first_start_without_etcd(self) -> None:
        """An edge that never had a copy does not start without etcd: it would not know whom to refuse."""
        await self.node.stopService()
        (self.directory / "state" / "etcd-copy.sqlite").unlink()
        await self.etcd.end()
        with self.assertRaisesRegex(StoreBroken, "no copy of it yet to begin with: etcd at https://127.0.0.1"):
            await self.start()
        await self.etcd.start()
        self.node = await self.start()
        self.assertIn(self.served.id, self.node.parts.mirror.agents)

    async def test_check(self) -> None:
        """`--check` says whether etcd answers, and refuses what the edge would refuse."""
        settings = self.node.settings
        self.assertEqual(check_edge(reactor, settings), "")
        await self.etcd.end()
        said = check_edge(reactor, settings)
        self.assertIn(f"registry.etcd: {self.etcd.url}: ", said)
        self.assertIn("no member of etcd serves", said)
        self.own.with_suffix(".key").unlink()
        with self.assertRaisesRegex(InvalidSettings, "^registry.etcd.key: "):
            check_edge(reactor, settings)

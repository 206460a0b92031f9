"""The DNS server in a live edge, set in edge.yaml as dns.yaml sets the one in a process of its own."""

import base64
import socket
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.xfr
import dns.zone
import msgspec
from twisted.internet.threads import deferToThread

from tests.case import reactor, until_said
from tests.system.dns.peers import KEY_NAME, SECRET, SECRET_TEXT, Peer
from tests.system.edge.live import HOST, ZONE, edge_files
from tests.system.edge.test_identity import LiveEdgeTestCase
from tests.system.ports import free_port
from warp_twisted.configuration import convert
from warp_twisted.edge.node import EdgeNode
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings

COOKIE = bytes(range(8))
COOKIE = bytes(range(8))
KEYS = dns.tsigkeyring.from_text({KEY_NAME: base64.b64encode(SECRET).decode()})


class NameserverTests(LiveEdgeTestCase):
    """One edge, with Knot as its secondary."""

    timeout = 60

    async def prepare(self) -> None:
        """Let Knot follow the zone."""
        self.dns_port = free_port()
        self.knot = Peer("knot")
        self.addCleanup(self.knot.stop)
        self.knot.follow(reactor, ZONE, self.dns_port)
        await super().prepare()

    def settings(self, **dns_keys: Any) -> EdgeSettings:
        """Return the settings of the edge, with some keys beneath `dns` changed."""
        secret = self.directory / "transfer.key"
        secret.write_text(SECRET_TEXT)
        section = {
            "keys": [{"name": KEY_NAME, "secret_file": str(secret)}],
            "transfer": {"keys": [KEY_NAME]},
            "notify": [{"address": f"127.0.0.1:{self.knot.port}", "key": KEY_NAME}],
            "identity": {"version": "warp", "id": "ns1.warp.test"},
            "rate_limit": {"responses_per_second": 5, "slip": 1, "exempt": []},
            **dns_keys,
        }
        raw = edge_files(self.directory, listen={"dns": [f"127.0.0.1:{self.dns_port}"]}, dns=section)
        return convert(raw, EdgeSettings, "edge.yaml")

    async def start(self) -> EdgeNode:
        """Start an edge that can be told to read its settings again."""
        self.wanted = self.settings()
        node = EdgeNode(reactor, self.wanted, read_settings=lambda: self.wanted)
        node.startService()
        await node.started
        self.addCleanup(self.stop, node)
        return node

    async def ask(self, query: dns.message.Message, port: int = 0) -> dns.message.Message:
        """Ask over UDP."""
        port = port or self.dns_port
        reply: dns.message.Message = await deferToThread(dns.query.udp, query, HOST, timeout=5, port=port)
        return reply

    async def serial(self, port: int) -> int | None:
        """Return a server's serial, None while it has none."""
        try:
            query = dns.message.make_query(ZONE, "SOA")  # over TCP, which has no limit of rates
            reply: dns.message.Message = await deferToThread(dns.query.tcp, query, HOST, timeout=5, port=port)
        except OSError:
            return None
        answer: Any = reply.answer
        return int(answer[0][0].serial) if answer else None

    async def transfer(self, **options: Any) -> set[str]:
        """Transfer the zone, and return its names."""

        def work() -> set[str]:
            zone = dns.zone.Zone(ZONE)
            query, _ = dns.xfr.make_query(zone, **options)
            dns.query.inbound_xfr(HOST, zone, query, port=self.dns_port, timeout=5, lifetime=5)
            return {str(name) for name in zone.nodes}

        return await deferToThread(work)

    async def same_serial(self) -> None:
        """Wait until Knot has the edge's serial."""

        async def has_followed() -> bool:
            return await self.serial(self.knot.port) == await self.serial(self.dns_port) is not None

        await until_said(has_followed)

    async def test_a_secondary_follows(self) -> None:
        """It is told of each change, transfers with its key, and answers for applications; nobody else transfers."""
        await self.same_serial()
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")

        async def is_told() -> bool:
            reply = await self.ask(dns.message.make_query(f"app.{ZONE}", "A"), self.knot.port)
            return bool(reply.answer)

        await until_said(is_told)
        self.assertIn("app", await self.transfer(keyring=KEYS))
        with self.assertRaises(dns.xfr.TransferError):
            await self.transfer()

    async def test_identity_cookies_and_rates(self) -> None:
        """It says who it is, gives cookies to clients that bring one, and limits the rate of those that do not."""
        query = dns.message.make_query("id.server", "TXT", "CH", use_edns=0)
        nsid, cookie = dns.edns.OptionType.NSID, dns.edns.OptionType.COOKIE
        options: list[dns.edns.Option] = [dns.edns.GenericOption(nsid, b""), dns.edns.GenericOption(cookie, COOKIE)]
        query.use_edns(0, options=options)
        reply = await self.ask(query)
        self.assertEqual(str(reply.answer[0][0]), '"ns1.warp.test"')
        said = {option.otype: option.to_wire() or b"" for option in reply.options}
        self.assertEqual(said[nsid], b"ns1.warp.test")
        self.assertEqual((len(said[cookie]), said[cookie][:8]), (24, COOKIE))

        def truncated() -> int:
            """Ask thirty times at once; returns how many answers send the client to TCP."""
            data = dns.message.make_query(ZONE, "SOA").to_wire()
            found = 0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.connect((HOST, self.dns_port))
                for _ in range(30):
                    sock.send(data)
                for _ in range(30):
                    found += bool(sock.recv(512)[2] & 0x02)
            return found

        self.assertGreater(await deferToThread(truncated), 10)

    async def test_reload(self) -> None:
        """Who may transfer and who is told is taken at once, a wrong key refused whole, the server's keys later."""
        await self.same_serial()
        before = await self.serial(self.dns_port)
        self.wanted = self.settings(transfer={"networks": ["127.0.0.0/8"]}, identity={"id": "other"})
        reloaded = await self.node.reload()
        self.assertEqual(reloaded.needs_restart, ("dns.identity",))
        self.assertIn("edge1", await self.transfer())
        serial = await self.serial(self.dns_port)
        assert before is not None
        assert serial is not None
        self.assertGreaterEqual(serial, before)
        self.wanted = self.settings(transfer={"keys": ["unknown"]})
        with self.assertRaisesRegex(InvalidSettings, r"^dns\.transfer\.keys\[0\]: there is no key 'unknown'"):
            await self.node.reload()
        self.assertIn("edge1", await self.transfer())
        agent = await self.agent()
        await agent.register(f"app.{ZONE}")
        self.assertIn("app", await self.transfer())
        await self.same_serial()

    async def test_reload_that_is_refused_elsewhere(self) -> None:
        """Where another section cannot be applied, the zone stays as it was, too."""
        changed = self.settings(transfer={"networks": ["127.0.0.0/8"]})
        nowhere = str(self.directory / "nowhere" / "access.log")
        self.wanted = msgspec.structs.replace(changed, log=msgspec.structs.replace(changed.log, access=nowhere))
        with self.assertRaisesRegex(InvalidSettings, r"^log\.access: "):
            await self.node.reload()
        with self.assertRaises(dns.xfr.TransferError):
            await self.transfer()
        self.assertIn("edge1", await self.transfer(keyring=KEYS))

"""
The zone that a fleet transfers, when the process of an edge is killed, whether it numbered it or not: the edges answer
DNS themselves, or name servers beside them do.
"""

from collections.abc import Sequence

import yaml
from dns.exception import DNSException
from dns.tsigkeyring import from_text
from twisted.internet.threads import deferToThread

from dns import message, query, zone
from tests.case import reactor, until_said
from tests.system.agent.programs import Program
from tests.system.dns.peers import KEY_NAME, SECRET_TEXT, Peer
from tests.system.edge.fleet.processes import APP, STARTED_SECONDS, TWISTD, Edge, FleetCase
from tests.system.edge.live import HOST, ZONE
from tests.system.ports import free_port

Content = frozenset[tuple[str, ...]]


class TransferCase(FleetCase):
    """
    Two edges as processes, an etcd, and transfers from whoever answers.

    :ivar with_key: ports of those that ask for a key.
    """

    with_key: Sequence[int] = ()

    async def prepare(self) -> None:
        self.seen: dict[int, Content] = {}
        await super().prepare()

    async def transferred(self, port: int) -> tuple[int, Content]:
        """Transfer the zone from a name server; what has a serial that was seen before must have that content."""
        keyring = from_text({KEY_NAME: SECRET_TEXT}) if port in self.with_key else None

        def transfer() -> tuple[int, Content]:
            try:
                answers = query.xfr(HOST, ZONE, port=port, timeout=5, relativize=False, keyring=keyring)
                found = zone.from_xfr(answers, relativize=False)
            except (DNSException, OSError):
                return 0, frozenset()
            records = {(str(name), str(ttl), rdata.to_text()) for name, ttl, rdata in found.iterate_rdatas()}
            return found.find_rdataset(f"{ZONE}.", "SOA")[0].serial, frozenset(records)

        serial, content = await deferToThread(transfer)
        self.assertEqual(self.seen.setdefault(serial, content), content)
        return serial, content

    async def transfers(self, ports: list[int], *addresses: str) -> int:
        """Wait until they transfer the same, in which the application has just these addresses; return the serial."""
        serials: set[int] = set()

        async def is_so() -> bool:
            found = [await self.transferred(port) for port in ports]
            serials.clear()
            serials.update(serial for serial, _ in found)
            listed = [{each[2] for each in content if each[0] == f"{APP}."} for _, content in found]
            return len(serials) == 1 and all(names & {"127.0.0.1", "127.0.0.2"} == set(addresses) for names in listed)

        await until_said(is_so, STARTED_SECONDS)
        return serials.pop()


class KilledTests(TransferCase):
    """The edges answer DNS themselves."""

    async def test_killed(self) -> None:
        """Each edge is killed and comes back: what the other one transfers follows, under serials that only grow."""
        both = [self.edge1.dns_port, self.edge2.dns_port]
        serial = await self.transfers(both, "127.0.0.1", "127.0.0.2")
        for killed, other in ((self.edge1, self.edge2), (self.edge2, self.edge1)):
            killed.program.signal("KILL")
            await killed.program.exited
            without = await self.transfers([other.dns_port], other.address)
            self.assertGreater(without, serial)
            killed.start()
            await killed.serves()
            serial = await self.transfers(both, "127.0.0.1", "127.0.0.2")
            self.assertGreater(serial, without)


class BesideTests(TransferCase):
    """A name server of its own beside each edge, and NSD as a secondary of both."""

    answer_dns = False

    async def prepare(self) -> None:
        await super().prepare()
        self.secondary = Peer("nsd")
        self.ports = self.with_key = [free_port(), free_port()]
        self.secret = self.directory / "secret"
        self.secret.write_text(SECRET_TEXT)
        self.servers = [self.server(edge, port) for edge, port in zip(self.edges(), self.ports, strict=True)]

    def server(self, edge: Edge, port: int) -> Program:
        """Start a name server beside an edge."""
        zone_settings = {
            "name": ZONE,
            "nameservers": {f"ns1.{ZONE}": [HOST]},
            "follow": str(edge.admin),
            "follow_serials": True,
            "transfer": {"keys": [KEY_NAME]},
            "notify": [{"address": f"{HOST}:{self.secondary.port}", "key": KEY_NAME}],
        }
        keys = [{"name": KEY_NAME, "secret_file": str(self.secret)}]
        file = self.directory / f"dns-{edge.name}.yaml"
        file.write_text(yaml.safe_dump({"listen": [f"{HOST}:{port}"], "zones": [zone_settings], "keys": keys}))
        program = Program("-c", TWISTD, "-n", "--pidfile=", "warp-dns", "--config", str(file))
        self.clean_up_with(program.end)
        return program

    async def soa(self, port: int) -> int:
        """Return the serial that a server's answers tell."""
        asked = message.make_query(ZONE, "SOA")
        answer = await deferToThread(query.udp, asked, HOST, port=port, timeout=5)
        return int(answer.answer[0][0].serial)

    async def test_one_content(self) -> None:
        """
        Both transfer the same, at the serial that their answers tell, while an edge dies and comes back, and after a
        restart of one of them; the secondary follows.
        """
        serial = await self.transfers(self.ports, "127.0.0.1", "127.0.0.2")
        for port in self.ports:
            self.assertGreaterEqual(await self.soa(port), serial)
        self.addCleanup(self.secondary.stop)
        self.secondary.follow(reactor, ZONE, *self.ports)
        await self.transfers([self.secondary.port], "127.0.0.1", "127.0.0.2")
        self.edge1.program.signal("KILL")
        await self.edge1.program.exited
        without = await self.transfers([self.ports[1]], "127.0.0.2")
        self.assertGreater(without, serial)
        await self.transfers([self.secondary.port], "127.0.0.2")
        self.edge1.start()
        await self.edge1.serves()
        serial = await self.transfers([*self.ports, self.secondary.port], "127.0.0.1", "127.0.0.2")
        self.assertGreater(serial, without)
        self.servers[0].signal("TERM")
        await self.servers[0].exited
        self.servers[0] = self.server(self.edge1, self.ports[0])
        self.assertGreaterEqual(await self.transfers(self.ports, "127.0.0.1", "127.0.0.2"), serial)

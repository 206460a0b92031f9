"""Worker processes: the same zone at the same serial from each, and a new one for one that died."""

import os
import signal

import dns.message

from tests.case import AsyncTestCase, reactor, until, until_said
from tests.dns.helpers import question
from tests.system.dns.asking import UdpClient
from warp_dns import DnsServer, EdgeSettings, FixedSource, Record, ServedZone, ZoneSettings

ZONE = "warp.example"


class WorkersTests(AsyncTestCase):
    """Three processes at one address."""

    timeout = 60

    async def prepare(self) -> None:
        """Serve with two workers beside the test's process, and wait until they answer."""
        self.source = FixedSource({f"app.{ZONE}": [Record(f"app.{ZONE}", "A", 5, "192.0.2.1", "edge1")]})
        zone = ZoneSettings(name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]})
        self.server = DnsServer(reactor, [ServedZone(zone, self.source)], workers=3)
        self.addCleanup(self.server.stop)
        [self.address] = self.server.start(["127.0.0.1:0"])
        # The kernel picks a process by the client's port, so that many clients meet all of them.
        self.clients = []
        for _ in range(24):
            client = UdpClient()
            port = reactor.listenUDP(0, client, "127.0.0.1", 8192)
            self.addCleanup(port.stopListening)
            self.clients.append(client)
        self.asked = 0
        await self.ask_all(f"app.{ZONE}")

    async def ask_all(self, name: str, rdtype: str = "A") -> list[dns.message.Message]:
        """Ask from every client."""
        self.asked += len(self.clients)
        replies = [client.ask(question(name, rdtype), self.address) for client in self.clients]
        return [dns.message.from_wire(await reply) for reply in replies]

    async def change(self, records: list[Record]) -> None:
        """Publish the application's records, and wait until this process serves them."""
        before = self.server.serial(ZONE)
        self.source.change({f"app.{ZONE}": records})
        await until(lambda: self.server.serial(ZONE) != before)

    async def until_all_say(self, address: str | None = None, *, rcode: int = 0, name: str = "app") -> None:
        """Wait until every process answers for the application, or another name, with an address, or a code."""

        async def is_said() -> bool:
            replies = await self.ask_all(f"{name}.{ZONE}")
            said = {(reply.rcode(), str(reply.answer[0][0]) if reply.answer else None) for reply in replies}
            return said == {(rcode, address)}

        await until_said(is_said)

    async def test_all_answer_alike_through_changes(self) -> None:
        """Each process answers with each change, at one serial."""
        for number in range(20):
            await self.change([Record(f"app.{ZONE}", "A", 5, f"192.0.2.{number + 2}", "edge1")])
        await self.until_all_say("192.0.2.21")
        serials = {reply.answer[0][0].serial for reply in await self.ask_all(ZONE, "SOA")}
        self.assertEqual(serials, {self.server.serial(ZONE)})

    async def test_their_counts_are_the_servers(self) -> None:
        """After a report the totals are all queries that were asked, and every process had a part."""
        await until(lambda: sum(self.server.counters.totals().values()) >= self.asked)
        self.assertEqual(sum(self.server.counters.totals().values()), self.asked)
        parts = [sum(count for *_, count in counted.queries) for counted in self.server.counters._workers.values()]
        self.assertEqual(len(parts), 2)
        self.assertTrue(all(parts) and sum(parts) < self.asked)

    async def test_one_that_died_is_replaced(self) -> None:
        """Queries wait in the socket until its successor answers them, with what has changed meanwhile."""
        victim = self.server._workers[0]
        pid = victim.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await self.change([Record(f"app.{ZONE}", "A", 5, "192.0.2.99", "edge1")])
        await self.until_all_say("192.0.2.99")
        self.assertNotEqual(victim.pid, pid)
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    async def test_all_is_told_to_all(self) -> None:
        """Suspension, edges and zones that come and go hold for every process."""
        self.server.suspend(ZONE)
        await self.until_all_say(rcode=2, name="nothing")
        self.server.resume(ZONE)
        await self.until_all_say(rcode=3, name="nothing")
        self.server.set_edges({"edge1": EdgeSettings(draining=True)})
        other = ZoneSettings(name="other.example", nameservers={"ns1.other.example": ["127.0.0.1"]})
        self.server.replace_zones([ServedZone(other)])
        await self.until_all_say(rcode=5)
        self.assertEqual({reply.rcode() for reply in await self.ask_all("ns1.other.example")}, {0})

    async def test_one_that_does_not_read_is_replaced(self) -> None:
        """Changes do not pile up for a worker that is stopped."""
        victim = self.server._workers[0]
        victim._max_unread = 100_000
        pid = victim.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        texts = [Record(f"app.{ZONE}", "TXT", 5, '"' + "x" * 250 + f'{n:04}"') for n in range(400)]
        for number in range(400):
            if victim.pid != pid:
                break
            await self.change(texts[number % 2 :])
        self.assertLess(len(victim._waiting), 1 << 20)
        await until(lambda: victim.pid not in (None, pid), 30)
        replies = await self.ask_all(f"app.{ZONE}", "TXT")
        self.assertEqual(len(replies), len(self.clients))

"""Tests of `warp_dns.beside.records` against an edge on a unix socket that the test plays."""

import json

from twisted.internet.defer import DeferredQueue

from tests.case import reactor, until
from tests.system.dns.beside.played_edge import HEAD, Edge, PlayedEdgeCase, chunk
from warp_dns.beside import asking
from warp_dns.beside import records as follow
from warp_dns.beside.records import EdgeRecords
from warp_dns.zone.source import Records


def record(name: str, rdata: str = "192.0.2.1") -> dict[str, object]:
    """Return a record as the edge writes it."""
    return {"name": name, "type": "A", "ttl": 5, "rdata": rdata, "edge": "edge1"}


class LinesEdge(Edge):
    """It says lines."""

    def say(self, *lines: object) -> None:
        """Send lines, each a chunk."""
        for line in lines:
            content = (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
            self.transport.write(chunk(content))


class EdgeRecordsTests(PlayedEdgeCase):
    """Following an edge."""

    kind = LinesEdge

    def setUp(self) -> None:
        """Listen where the edge's admin interface would, and follow it."""
        super().setUp()
        self.changes: DeferredQueue[Records] = DeferredQueue()
        self.currency: DeferredQueue[bool] = DeferredQueue()
        self.records = self.make(stale_seconds=1000.0)

    def make(self, stale_seconds: float) -> EdgeRecords:
        """Return a follower whose changes and currency the test hears."""
        records = EdgeRecords(reactor, self.path, stale_seconds, self.currency.put)
        records.subscribe(self.changes.put)
        self.addCleanup(records.stop)
        return records

    async def connected(self, *lines: object) -> LinesEdge:
        """Accept a connection and say something on it."""
        edge: LinesEdge = await self.connections.get()
        edge.transport.write(HEAD)
        edge.say(*lines)
        return edge

    def names(self) -> list[str]:
        """Return the names that are held."""
        return sorted(self.records.snapshot())

    async def test_a_snapshot_and_changes_are_taken(self) -> None:
        """The first line is all there is, further ones what changed; an empty one changes nothing."""
        self.records.start()
        edge = await self.connected({"a.x": [record("a.x")]}, {}, {"b.x": [record("b.x")], "a.x": []})
        self.assertEqual(sorted(await self.changes.get()), ["a.x"])
        self.assertTrue(await self.currency.get())
        self.assertEqual(sorted(await self.changes.get()), ["a.x", "b.x"])
        self.assertEqual(self.names(), ["b.x"])
        self.assertTrue(edge.request.startswith(b"GET /v1/records?watch=1 HTTP/1.1\r\n"))

    async def test_records_stay_while_the_edge_is_away(self) -> None:
        """A broken stream leaves the records; the next snapshot brings the difference and nothing else."""
        self.records.start()
        edge = await self.connected({"a.x": [record("a.x")], "b.x": [record("b.x")]})
        await self.changes.get()
        edge.transport.abortConnection()
        edge = await self.connections.get()
        self.assertEqual(self.names(), ["a.x", "b.x"])
        edge.transport.write(HEAD)
        edge.say({"b.x": [record("b.x")], "c.x": [record("c.x")]})
        self.assertEqual(dict(await self.changes.get())["a.x"], ())
        self.assertEqual(self.names(), ["b.x", "c.x"])
        self.assertTrue(self.records.is_current)

    async def test_an_edge_that_is_not_there_is_tried_again(self) -> None:
        """Without a socket there is a warning, and as soon as there is one it is used."""
        await self.port.stopListening()
        self.records.start()
        await until(lambda: bool(self.warnings))
        self.listen()
        await self.connected({})
        self.assertTrue(await self.currency.get())

    async def refused(self, times: int) -> None:
        """Let the edge end so many connections, and wait for the next one."""
        for _ in range(times):
            (await self.connections.get()).transport.abortConnection()
        self.connections.put(await self.connections.get())

    async def test_that_the_edge_is_away_is_not_said_each_time(self) -> None:
        """The same reason is said again after a minute, another one at once, and each again after it was there."""
        self.records.start()
        await self.refused(5)
        self.assertEqual(len(self.warnings), 1)
        self.patch(asking, "SAY_AGAIN_SECONDS", 0.0)
        await self.refused(2)
        self.assertEqual(len(self.warnings), 3)
        self.patch(asking, "SAY_AGAIN_SECONDS", 60.0)
        (await self.connected(b"banana")).gone.addErrback(lambda _: None)
        await until(lambda: len(self.warnings) == 4)
        (await self.connected({})).transport.abortConnection()
        await until(lambda: len(self.warnings) == 5)

    async def test_old_records_are_not_current(self) -> None:
        """After the edge has been away for so long, who serves the records is told, then told to withdraw them."""
        self.records = self.make(stale_seconds=0.05)
        self.records.start()
        edge = await self.connected({"a.x": [record("a.x")]})
        self.assertTrue(await self.currency.get())
        edge.transport.abortConnection()
        self.assertFalse(await self.currency.get())
        await until(lambda: self.names() == [])
        await self.connected({"a.x": [record("a.x")]})
        self.assertTrue(await self.currency.get())

    async def test_what_is_not_understood_ends_the_connection(self) -> None:
        """Lines of another shape, and answers that are no success, are warned of and tried again."""
        self.records.start()
        for line in (b"banana", [1], {"a.x": [{"name": "a.x"}]}, {"a.x": [{**record("a.x"), "unknown": 1}]}):
            edge = await self.connected(line)
            await edge.gone
        edge = await self.connections.get()
        edge.transport.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        await self.connections.get()
        self.assertEqual(len(self.warnings), 5)
        self.assertEqual(self.names(), [])

    async def test_a_long_line_is_read_in_slices(self) -> None:
        """Changes that come behind a large snapshot wait for it, and a large line that is wrong ends the connection."""
        self.patch(follow, "LONG_LINE_BYTES", 100)
        self.records.start()
        names = [f"n{number}.x" for number in range(1000)]
        edge = await self.connected({name: [record(name)] for name in names})
        edge.say({"late.x": [record("late.x")]})
        edge.say({"n7.x": []})
        self.assertEqual(len(await self.changes.get()), 1000)
        self.assertEqual((len(await self.changes.get()), len(await self.changes.get())), (1, 1))
        self.assertEqual(set(self.names()), {*names, "late.x"} - {"n7.x"})
        edge.say({name: [{"name": name}] for name in names})
        await edge.gone
        self.assertEqual(len(self.names()), 1000)

    async def test_a_large_snapshot_is_cut_between_names(self) -> None:
        """It is taken whole, whatever its records say, but in small pieces; the next one tells what is gone."""
        texts = ["a],", '"],"b":[', "\\", '],"', "x],\\", "{}[],:"]
        names = [f"n{number}.example.org" for number in range(5_000)]
        first = {name: [record(name, rdata=texts[at % len(texts)])] for at, name in enumerate(names)}
        first["empty.example.org"] = []
        line = json.dumps(first, separators=(",", ":")).encode()
        self.assertGreater(len(line), 20 * follow.PIECE_BYTES)
        pieces = [json.loads(piece) for piece in follow._pieces(line)]
        self.assertGreater(len(pieces), 10)
        self.assertLess(max(map(len, pieces)), 10 * len(first) / len(pieces))
        self.assertEqual({name: records for piece in pieces for name, records in piece.items()}, first)
        self.records.start()
        edge = await self.connected(line)
        self.assertEqual({name for name, records in (await self.changes.get()).items() if records}, set(names))
        self.assertEqual(set(self.names()), set(names))
        edge.transport.loseConnection()
        await self.connected({name: first[name] for name in names[:1_000]})
        changed = await self.changes.get()
        self.assertEqual((len(changed), {len(records) for records in changed.values()}), (4_000, {0}))
        self.assertEqual(set(self.names()), set(names[:1_000]))

    async def test_a_line_has_a_limit(self) -> None:
        """A line that never ends is not kept beyond the limit."""
        self.patch(follow, "MAX_LINE_BYTES", 100000)
        self.records.start()
        edge = await self.connected()
        for _ in range(4):
            edge.transport.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        await edge.gone
        self.assertEqual((len(self.warnings), self.names()), (1, []))

    async def test_silence_is_an_end(self) -> None:
        """An edge that says nothing for longer than its heartbeat is given up, before the answer and after."""
        self.patch(asking, "ANSWER_SECONDS", 0.1)
        self.patch(follow, "SILENCE_SECONDS", 0.1)
        self.records.start()
        silent = await self.connections.get()
        await silent.gone
        edge = await self.connected({})
        await edge.gone
        await self.connections.get()
        self.assertEqual(len(self.warnings), 2)

    async def test_it_can_be_stopped_at_any_time(self) -> None:
        """While connecting, while waiting for the answer, and while following; nothing is left behind."""
        for stage in range(3):
            records = self.make(stale_seconds=1.0)
            records.start()
            if stage:
                edge = await self.connections.get()
                if stage == 2:
                    edge.transport.write(HEAD)
                    edge.say({})
                    await self.currency.get()
                records.stop()
                await edge.gone
            else:
                records.stop()
            self.assertEqual((records.is_current, self.connections.pending), (stage == 2, []))

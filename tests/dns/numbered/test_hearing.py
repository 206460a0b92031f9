"""Tests of what an edge hears of the numbered zone: nothing that another edge may send breaks it."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.numbered.pair import APEX, Pair, content_of
from warp_dns.errors import BadNumberedZone
from warp_dns.message import names
from warp_dns.message.records import RRset
from warp_dns.numbered import hearing as module
from warp_dns.serve import replica
from warp_dns.zone.packed import row

OWNER = names.from_text("a.example.org")
A = RRset(OWNER, 1, 60, (b"\xc0\0\2\1",))
OWNERS = st.sampled_from(
    [OWNER, APEX, names.from_text("b.a.example.org"), b"", b"\0", b"\77a\0", b"\1A" + APEX, b"\1x\0"]
)
RDATA = st.one_of(st.binary(max_size=40), st.sampled_from([OWNER, APEX, b"\xc0\0\2\1"]))
RRSETS = st.builds(
    RRset,
    OWNERS,
    st.sampled_from([-1, 0, 1, 2, 5, 6, 12, 15, 16, 33, 255, 70000]),
    st.integers(-1, 2**31),
    st.lists(RDATA, max_size=3).map(tuple),
)
HELD = st.one_of(st.binary(max_size=60), st.lists(RRSETS, max_size=3), st.just([A]), st.just(row(1, 5, b"abcd")))
STAGED = st.lists(st.tuples(OWNERS, HELD), max_size=4)
MESSAGES = st.one_of(
    st.builds(replica.Stage, st.just(APEX), STAGED),
    st.builds(replica.Serve, st.just(APEX)),
    st.builds(replica.Advance, st.just(APEX), st.integers(0, 2**32), STAGED),
)


class HearingTests(SynchronousTestCase):
    """One stream."""

    def setUp(self) -> None:
        self.pair = Pair()
        self.pair.pass_all()

    def refusal(self, *messages: replica.Order) -> str:
        """Return why messages are refused."""
        data = b"".join(map(replica.pack_value, messages))
        return str(self.assertRaises(BadNumberedZone, self.pair.hear, data))

    def test_another_zone(self) -> None:
        """An edge tells of the zone of the fleet, and of no other."""
        self.assertIn("another zone", self.refusal(replica.Serve(b"\3com\0")))

    def test_names(self) -> None:
        """Only names of the zone, each in its one form."""
        for owner in (b"\3com\0", b"\1A" + APEX, b"", b"\77a\0", APEX[:-1]):
            self.assertIn("a name", self.refusal(replica.Stage(APEX, [(owner, [A])])))

    def test_records(self) -> None:
        """Only records that a message can carry, under their own name."""
        for bad in (
            [RRset(APEX, 1, 60, (b"abcd",))],
            [RRset(OWNER, 0, 60, (b"abcd",))],
            [RRset(OWNER, 1, -1, (b"abcd",))],
            [RRset(OWNER, 1, 60, ())],
            [RRset(OWNER, 16, 60, (bytes(65_000),))],
            [RRset(OWNER, 12, 60, (b"\77a",))],
            b"\0",
            row(1, 5, b"abcd")[:-1] + b"\0\0",
        ):
            self.refusal(replica.Stage(APEX, [(OWNER, bad)]))

    def test_bounds(self) -> None:
        """What one stream makes this edge hold is bounded: one message, names, bytes."""
        self.assertRaises(BadNumberedZone, self.pair.hear, (module.MAX_VALUE_BYTES + 1).to_bytes(4, "big"))
        self.pair = Pair()
        self.patch(module, "MAX_OWNERS", 3)
        stages = [replica.Stage(APEX, [(names.from_text(f"a{n}.example.org"), row(1, 5, b"abcd"))]) for n in range(5)]
        self.assertIn("more than", self.refusal(*stages))
        self.pair = Pair()
        self.patch(module, "MAX_STAGED_BYTES", 100)
        self.assertIn("more than", self.refusal(*stages))

    def test_no_zone(self) -> None:
        """A snapshot without a start of authority is none; what was there stays."""
        before = self.pair.hearer.numbering.zone
        self.refusal(replica.Stage(APEX, [(OWNER, [A])]), replica.Serve(APEX))
        self.assertIs(self.pair.hearer.numbering.zone, before)

    def test_change_of_nothing(self) -> None:
        """A change before any snapshot, or at a serial that does not follow, is not taken."""
        fresh = Pair()
        message = replica.Advance(APEX, 7, [])
        fresh.hear(replica.pack_value(message))
        self.assertIsNone(fresh.hearer.numbering.zone)

    def test_large_change(self) -> None:
        """A change of very many records is taken, and secondaries transfer the whole zone then."""
        self.patch(module, "MAX_JOURNAL_ROWS", 10)
        for number in range(30):
            self.pair.teller.publish(f"a{number}.example.org", "192.0.2.1")
        self.pair.pass_all()
        self.assertEqual(self.pair.serials(), (130, 130))
        self.assertIsNone(self.pair.hearer.numbering.journal.since(100, 130))

    @settings(max_examples=300, deadline=None)
    @given(st.lists(MESSAGES, max_size=5))
    def test_whatever_is_told(self, messages: list[replica.Order]) -> None:
        """Whatever is told is taken or refused as a bad message; what is transferred can always be read."""
        pair = Pair()
        pair.pass_all()
        for message in messages:
            try:
                pair.hear(replica.pack_value(message))
            except BadNumberedZone:
                break
        content_of(pair.hearer.numbering.zone)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """So it is with any bytes."""
        pair = Pair()
        try:
            pair.hear(len(data).to_bytes(4, "big") + data)
        except BadNumberedZone:
            return
        self.assertTrue(data)

    def test_not_its_schema(self) -> None:
        """A message that is something else is refused."""
        content = msgspec.msgpack.encode({"type": "Begin"})
        self.assertRaises(BadNumberedZone, self.pair.hear, len(content).to_bytes(4, "big") + content)

"""Tests of `warp_dns.message.update`: dnspython's updates through a responder, and what is refused with which code."""

from collections.abc import Sequence

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import responder_for, zone_of
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_dns.message import names
from warp_dns.message.codes import SERVFAIL
from warp_dns.message.query import Malformed, read_query
from warp_dns.message.tsig import KeyRing
from warp_dns.message.update import TextChange, UpdateRefused, read_changes
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder

HOST = "192.0.2.9"
ZONE = zone_of("app 30 A 192.0.2.1")
SECRET = bytes(range(32))
KEY, OTHER = "acme.example", "other.example"
NAME = "_acme-challenge.example.org"


class FakeTaker:
    """Remembers what it is to change; refuses if a test says so."""

    def __init__(self) -> None:
        self.changes: list[TextChange] = []
        self.refusal: int | None = None

    def allows(self, apex: bytes, key: bytes) -> bool:
        """Allow one key."""
        return (apex, key) == (names.from_text("example.org"), names.from_text(KEY))

    def apply(self, changes: Sequence[TextChange]) -> None:
        """Note it."""
        if self.refusal is not None:
            raise UpdateRefused(self.refusal)
        self.changes += changes


def update(zone: str = "example.org", key: str | None = KEY) -> dns.update.UpdateMessage:
    """Return an update without changes."""
    keys = {dns.name.from_text(name): dns.tsig.Key(name, SECRET, "hmac-sha256") for name in (KEY, OTHER, "no.example")}
    made = dns.update.UpdateMessage(zone)
    if key is not None:
        made.use_tsig(keys, key)
    return made


class UpdateTests(SynchronousTestCase):
    """One zone."""

    def setUp(self) -> None:
        keys = KeyRing([(KEY, "hmac-sha256", SECRET), (OTHER, "hmac-sha256", SECRET)])
        self.responder = Responder(Counters(), MACHINE_WALL_CLOCK, keys=keys)
        self.responder.serve(ZONE)
        self.taker = FakeTaker()
        self.responder.take_updates(self.taker)

    def code(self, made: dns.update.UpdateMessage) -> str:
        """Send an update; return the code of the answer, which is that of an update."""
        sent = made.to_wire()
        answer = self.responder.respond(sent, HOST)
        assert answer is not None
        self.assertEqual((answer[:2], answer[2] >> 3), (sent[:2], 0x80 >> 3 | 5))
        code = dns.rcode.Rcode(answer[3] & 15)
        if made.keyring is not None and made.keyname != dns.name.from_text("no.example"):
            read = dns.message.from_wire(answer, keyring=made.keyring, request_mac=made.mac)
            self.assertEqual((read.had_tsig, read.rcode()), (True, code))
        return dns.rcode.to_text(code)

    def test_added_and_removed(self) -> None:
        """As certbot and lego do it: a value is added, one removed, or all of a name; several in one message."""
        made = update()
        made.delete("_acme-challenge", "TXT")
        made.add("_ACME-challenge", 120, "TXT", "first")
        made.add("_acme-challenge.app", 120, "TXT", '"sec" "ond"')
        made.delete("_acme-challenge", "TXT", "third")
        made.delete("_acme-challenge.app")
        self.assertEqual(self.code(made), "NOERROR")
        below = "_acme-challenge.app.example.org"
        self.assertEqual(
            self.taker.changes,
            [
                TextChange(NAME, None, is_added=False),
                TextChange(NAME, b"first", is_added=True),
                TextChange(below, b"second", is_added=True),
                TextChange(NAME, b"third", is_added=False),
                TextChange(below, None, is_added=False),
            ],
        )

    def test_who_may(self) -> None:
        """Without a signature, or with that of another key, it is refused; what is signed wrong is NOTAUTH."""
        for key, code in ((None, "REFUSED"), (OTHER, "REFUSED"), ("no.example", "NOTAUTH")):
            made = update(key=key)
            made.add("_acme-challenge", 120, "TXT", "x")
            self.assertEqual(self.code(made), code, key)
        self.assertEqual(self.taker.changes, [])

    def test_what_is_refused(self) -> None:
        """Other zones, other types, prerequisites, and what its taker refuses; nothing has changed then."""
        elsewhere = update("example.com")
        elsewhere.add("a", 1, "TXT", "x")
        address = update()
        address.add("a", 1, "A", "192.0.2.1")
        below = update()
        below.delete("a", "A")
        outside = update()
        outside.add(dns.name.from_text("a.example.com"), 1, "TXT", "x")
        conditional = update()
        conditional.present("a")
        conditional.add("a", 1, "TXT", "x")
        for made, code in (
            (elsewhere, "NOTAUTH"),
            (address, "REFUSED"),
            (below, "REFUSED"),
            (outside, "NOTZONE"),
            (conditional, "REFUSED"),
        ):
            self.assertEqual(self.code(made), code)
        self.taker.refusal = SERVFAIL
        full = update()
        full.add("a", 1, "TXT", "x")
        self.assertEqual(self.code(full), "SERVFAIL")
        self.assertEqual(self.taker.changes, [])

    def test_a_server_that_takes_none(self) -> None:
        """It does not know that kind of message."""
        self.responder = responder_for(ZONE)
        made = update(key=None)
        made.add("a", 1, "TXT", "x")
        answer = self.responder.respond(made.to_wire(), HOST)
        assert answer is not None
        self.assertEqual(answer[2:4], bytes([0x80 | 5 << 3, dns.rcode.NOTIMP]))

    def test_malformed(self) -> None:
        """A zone of another type, or a record that breaks off, is a format error."""
        made = update(key=None)
        made.add("a", 1, "TXT", "x")
        sent = bytearray(made.to_wire())
        for at, value in ((sent.index(b"\0\6\0\1") + 1, 1), (len(sent) - 2, 9)):
            wrong = bytearray(sent)
            wrong[at] = value
            try:
                query = read_query(bytes(wrong))
            except Malformed:
                continue
            if query.qtype == 6:
                self.assertRaises(UpdateRefused, read_changes, query)
            answer = self.responder.respond(bytes(wrong), HOST)
            assert answer is not None
            self.assertIn(answer[3] & 15, (dns.rcode.FORMERR, dns.rcode.REFUSED))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=80), st.integers(0, 6), st.integers(0, 6))
    def test_any_bytes(self, data: bytes, prerequisites: int, updates: int) -> None:
        """Whatever comes is read, or refused."""
        counts = b"\0\1" + bytes([0, prerequisites, 0, updates, 0, 0])
        message = b"\0\1\x28\0" + counts + names.from_text("example.org") + b"\0\6\0\1" + data
        try:
            query = read_query(message)
        except Malformed:
            return
        try:
            changes = read_changes(query)
        except UpdateRefused as refusal:
            self.assertIn(refusal.rcode, (1, 5, 10))
        else:
            self.assertEqual(len(changes), updates)

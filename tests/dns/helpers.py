"""Short ways to make zones, questions and responders for tests."""

from collections.abc import Sequence

import dns.edns
import dns.message
import dns.name
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from tests.clocks import SettableWallClock
from warp_dns.message import names
from warp_dns.serve.metrics import Counters
from warp_dns.serve.responder import Responder
from warp_dns.settings import ZoneSettings
from warp_dns.zone.data import Zone
from warp_dns.zone.live import LiveZone
from warp_dns.zone.master import StaticRecords, static_records

APEX = """
@ 3600 SOA ns1 hostmaster 7 3600 600 86400 60
@ 3600 NS ns1
ns1 3600 A 192.0.2.53
"""


@implementer(ILogObserver)
class Events(list[LogEvent]):
    """What is logged, in order; the observer of a patched `Logger`."""

    def __call__(self, event: LogEvent) -> None:
        """Keep an event."""
        self.append(event)


def wire(text: str) -> bytes:
    """Return a folded name in wire format."""
    return names.from_text(text).lower()


def static(text: str, apex: str = "example.org", *, head: str = APEX) -> StaticRecords:
    """Return the static records of a master file's text, indented or not, with SOA, NS and its address before it."""
    content = "".join(f"{line.strip()}\n" for line in (head + text).splitlines())
    return static_records(ZoneSettings(name=apex, master_file="test.zone"), content.encode())


def zone_of(text: str, apex: str = "example.org", *, head: str = APEX) -> Zone:
    """Return a zone made of a master file's text."""
    return LiveZone(static(text, apex, head=head)).zone


def responder_for(*zones: Zone, **options: object) -> Responder:
    """Return a responder that serves zones."""
    responder = Responder(Counters(), SettableWallClock(1_000_000.0), **options)  # type: ignore[arg-type]
    for zone in zones:
        responder.serve(zone)
    return responder


def question(name: str, rdtype: str, **options: object) -> bytes:
    """Return a query's bytes with id 1 and without the RD bit."""
    message = dns.message.make_query(name, rdtype, **options)  # type: ignore[arg-type]
    message.flags = 0
    message.id = 1
    wire_format = message.to_wire()
    assert isinstance(wire_format, bytes)
    return wire_format


def pointers_to(at: int, count: int) -> bytes:
    """Return the root name, to stand at an offset of a message, and so many compression pointers, each to the last."""
    targets = [at, *range(at + 1, at + 2 * count, 2)][:count]
    return b"\0" + b"".join((0xC000 | target).to_bytes(2, "big") for target in targets)


def edns_option(code: int, value: bytes) -> dns.edns.GenericOption:
    """Return an EDNS option of any code."""
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), value)


def show(sections: Sequence[object]) -> list[str]:
    """Return a section of dnspython's as sorted lines."""
    return sorted(line for rrset in sections for line in str(rrset).splitlines())

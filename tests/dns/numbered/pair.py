"""Two servers of a zone, of which one tells the other what it has numbered, in memory."""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.zone.test_numbering import Server
from warp_dns.message import names
from warp_dns.numbered.hearing import ZoneHearing
from warp_dns.numbered.telling import ZoneTeller
from warp_dns.zone.data import Zone
from warp_dns.zone.steps import finish

APEX = names.from_text("example.org")


class Pair:
    """Who tells, which has the serials from 100 on, and who hears."""

    def __init__(self) -> None:
        self.teller, self.hearer = Server(), Server()
        self.teller.numbering.begin(100, 100_000)
        self.telling = ZoneTeller(self.teller.numbering)
        self.teller.numbering.subscribe(self.telling.mark)
        self.hearing = ZoneHearing(APEX, self.hearer.numbering)

    def pass_some(self, pieces: int) -> int:
        """Pass pieces on; return how many bytes."""
        count = 0
        for _ in range(pieces):
            piece = self.telling.next_piece()
            if piece is None:
                break
            count += len(piece)
            for at in range(0, len(piece), 1000):
                self.hear(piece[at : at + 1000])
        return count

    def pass_all(self) -> int:
        """Pass all on that waits."""
        return self.pass_some(1_000_000)

    def hear(self, data: bytes) -> None:
        """Let the other end take bytes."""
        self.hearing.feed(data)
        while (message := self.hearing.next_message()) is not None:
            finish(self.hearing.apply(message))

    def serials(self) -> tuple[int, int]:
        """Return the serials that both tell."""
        return self.teller.live.zone.serial, self.hearer.live.zone.serial

    def check(self, case: SynchronousTestCase) -> None:
        """See that both transfer the same."""
        case.assertEqual(content_of(self.hearer.numbering.zone), content_of(self.teller.numbering.zone))


def content_of(zone: Zone | None) -> frozenset[object]:
    """Return what a zone holds."""
    assert zone is not None
    return frozenset((rrset.owner, rrset.type, rrset.ttl, frozenset(rrset.rdatas)) for rrset in zone)

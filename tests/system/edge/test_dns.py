"""What DNS in an edge's process says of the zone's names, asked over its own sockets."""

import dns.message
import dns.query
import dns.rcode
from twisted.internet.threads import deferToThread

from tests.system.edge.live import ZONE
from tests.system.edge.test_admin import AdminTestCase


class DnsTestCase(AdminTestCase):
    """An edge that answers DNS."""

    async def asked(self, name: str, kind: str = "A") -> dns.message.Message:
        """Ask the edge, and return what it says."""
        host, port = self.node.ports.dns[0]
        query = dns.message.make_query(name, kind)
        return await deferToThread(dns.query.udp, query, host, timeout=5, port=port)


class NegativeTests(DnsTestCase):
    """A name that is not there."""

    sections: dict[str, object] = {"dns": {"negative_ttl": 3}}

    async def test_negative_ttl(self) -> None:
        """A name that does not exist may be believed not to for `dns.negative_ttl` seconds (RFC 2308 §5)."""
        answer = await self.asked(f"nothing.{ZONE}")
        (soa,) = answer.authority
        self.assertEqual((answer.rcode(), soa.ttl, soa[0].minimum), (dns.rcode.NXDOMAIN, 3, 3))


del AdminTestCase

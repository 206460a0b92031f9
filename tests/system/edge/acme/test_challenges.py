"""Challenges that are published at live edges: asked for over the admin socket, seen in DNS and by visitors."""

import socket

import dns.message
import dns.query
import dns.rcode
from twisted.internet.threads import deferToThread

from tests.case import until, until_said
from tests.system.edge.live import HOST, ZONE
from tests.system.edge.peers.pair import PairTestCase
from tests.system.edge.test_admin import AdminTestCase
from warp_twisted.edge.node import EdgeNode
from warp_twisted.registry.acme.challenges import dns_challenge, http_challenge

NAME = f"_acme-challenge.{ZONE}"
FIRST, SECOND = "a" * 43, "b" * 43


def dns_wish(value: str, name: str = NAME) -> dict[str, object]:
    """Return the body that asks for a TXT record."""
    return {"kind": "dns-01", "name": name, "value": value, "lease_seconds": 60}


async def texts(node: EdgeNode, name: str = NAME) -> list[str]:
    """Return what an edge's DNS has at a name."""
    host, port = node.ports.dns[0]
    query = dns.message.make_query(name, "TXT")
    answer = await deferToThread(dns.query.udp, query, host, timeout=5, port=port)
    return sorted(str(record).strip('"') for rrset in answer.answer for record in rrset)


async def visit(node: EdgeNode, hostname: str, path: str) -> tuple[int, bytes]:
    """Ask an edge for a path; returns status and body."""

    def work() -> bytes:
        with socket.create_connection((HOST, node.ports.http[0]), timeout=5) as visitor:
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
            return visitor.makefile("rb").read()

    head, _, body = (await deferToThread(work)).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


class OneEdgeTests(AdminTestCase):
    """An edge that is alone."""

    async def test_a_text_record(self) -> None:
        """It is answered when the call returns, beside others of the name, and gone when it is removed."""
        for value in (FIRST, SECOND):
            self.assertEqual((await self.call("POST", "/v1/challenges", dns_wish(value)))[0], 200)
        self.assertEqual(await texts(self.node), [FIRST, SECOND])
        self.assertEqual((await self.call("DELETE", "/v1/challenges", dns_wish(FIRST)))[1], {"was_published": True})
        self.assertEqual(await texts(self.node), [SECOND])
        _, listed = await self.call("GET", "/v1/challenges")
        self.assertEqual([(each["edge"], each["value"]) for each in listed], [("edge1", SECOND)])

    async def test_a_lease(self) -> None:
        """It goes by itself."""
        await self.call("POST", "/v1/challenges", dns_wish(FIRST) | {"lease_seconds": 0.5})

        async def is_gone() -> bool:
            return await texts(self.node) == []

        await until_said(is_gone)

    async def test_an_answer_to_visitors(self) -> None:
        """The token is answered at its hostname, whoever serves that; everything else is as before."""
        wish = {"kind": "http-01", "hostname": f"app.{ZONE}", "token": "tok", "key_authorization": f"tok.{FIRST}"}
        path = "/.well-known/acme-challenge/tok"
        self.assertEqual((await visit(self.node, f"app.{ZONE}", path))[0], 404)
        self.assertEqual((await self.call("POST", "/v1/challenges", wish))[0], 200)
        self.assertEqual(await visit(self.node, f"app.{ZONE}", path), (200, f"tok.{FIRST}".encode()))
        self.assertEqual((await visit(self.node, f"other.{ZONE}", path))[0], 404)
        self.assertEqual((await visit(self.node, f"app.{ZONE}", f"{path}x"))[0], 404)

    async def test_what_is_refused(self) -> None:
        """Other names than ACME's, and other texts, do not come into the zone."""
        for wish in (dns_wish(FIRST, f"www.{ZONE}"), dns_wish("v=spf1 -all"), {"kind": "dns-02"}, None):
            status, answer = await self.call("POST", "/v1/challenges", wish)
            self.assertEqual(status, 400, answer)


class TwoEdgesTests(PairTestCase):
    """Two edges that are linked."""

    async def test_every_edge_answers(self) -> None:
        """What one edge was asked for, both answer; it goes with that edge."""
        challenges = self.edge1.parts.acme.challenges
        await challenges.add(dns_challenge(NAME, FIRST, ZONE), 60)
        await challenges.add(http_challenge(f"app.{ZONE}", "tok", f"tok.{SECOND}"), 60)

        async def is_answered() -> bool:
            return await texts(self.edge2) == [FIRST]

        await until_said(is_answered)
        await until(lambda: bool(self.edge2.parts.acme.challenges.http_answers))
        path = "/.well-known/acme-challenge/tok"
        self.assertEqual(await visit(self.edge2, f"app.{ZONE}", path), (200, f"tok.{SECOND}".encode()))
        self.assertEqual(await texts(self.edge1), [FIRST])
        await self.edge1.stopService()

        async def is_gone() -> bool:
            return await texts(self.edge2) == []

        await until_said(is_gone)
        self.assertEqual((await visit(self.edge2, f"app.{ZONE}", path))[0], 404)

"""What live edges keep for the issuing process, asked as it asks; certificates are shown, and CAA is published."""

import socket
import ssl
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import msgspec
from twisted.internet.threads import deferToThread

from tests.case import short_directory_of, until, until_said
from tests.self_signed import self_signed
from tests.system.edge.live import HOST, ZONE, make_node
from tests.system.edge.peers.pair import make_edge
from tests.system.edge.test_admin import AdminTestCase
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.acme.door import View
from warp_twisted.acme.sealing import open_sealed
from warp_twisted.edge import acme_parts
from warp_twisted.edge.acme.sealing_key import FILE
from warp_twisted.edge.node import EdgeNode

SECTIONS: dict[str, object] = {
    "acme": {"directory": "https://127.0.0.1:1/none"},
    "certificates": None,
    "listen": {"https": ["tcp:0:interface=127.0.0.1"]},
}
NAME = ZONE


def issued(*names: str) -> tuple[dict[str, Any], bytes]:
    """Return the body that puts a certificate in force, and the certificate in DER."""
    leaf, pem, key = self_signed(NAME, names)
    order = {"name": NAME, "names": list(names), "step": "issued", "expires_at": leaf.not_valid_after_utc.timestamp()}
    return {"chain": pem.decode(), "key": key.decode(), "order": order}, ssl.PEM_cert_to_DER_cert(pem.decode())


async def shown(node: EdgeNode, hostname: str) -> bytes:
    """Return the certificate that a visitor of a hostname is shown, in DER; nothing if there is none."""

    def work() -> bytes:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection((HOST, node.ports.https[0]), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=hostname) as visitor,
            ):
                return visitor.getpeercert(binary_form=True) or b""
        except ssl.SSLError:
            return b""

    return await deferToThread(work)


class OneEdgeTests(AdminTestCase):
    """An edge that is alone."""

    sections = SECTIONS

    async def prepare(self) -> None:
        """Start it; nobody orders, so that nothing but the test asks."""
        self.patch(acme_parts, "IssuingProcess", lambda *arguments: None)
        await super().prepare()

    async def put(self, path: str, body: object) -> None:
        """Make a call that succeeds."""
        status, answer = await self.call("PUT", path, body)
        self.assertEqual(status, 200, answer)

    async def test_shown_at_once_and_after_a_restart(self) -> None:
        """A certificate is shown when it is there, the next one as soon as that is, and it lasts."""
        self.assertEqual(await shown(self.node, f"app.{ZONE}"), b"")
        for _ in range(2):
            body, der = issued(ZONE, f"*.{ZONE}")
            await self.put(f"/v1/certificates/{NAME}", body)
            await until_said(lambda der=der: self.is_shown(der))  # type: ignore[misc]
        await until(lambda: f"*.{ZONE}" in self.node.parts.entry.describe().https_names)
        key = body["key"]
        for file in Path(self.directory, "state").iterdir():
            self.assertNotIn(key.splitlines()[1].encode(), file.read_bytes(), file)
        await self.node.stopService()
        self.node = await self.start()
        await until_said(lambda: self.is_shown(der))
        self.assertEqual((await self.call("GET", f"/v1/certificates/{NAME}"))[1], {"chain": body["chain"]})

    async def is_shown(self, der: bytes) -> bool:
        """Whether visitors are shown a certificate."""
        return await shown(self.node, f"app.{ZONE}") == der

    async def test_the_door(self) -> None:
        """What the process keeps, it is told again, with its secrets sealed."""
        await self.put("/v1/acme/lock", {"holder": "edge1", "seconds": 30})
        status, refused = await self.call("PUT", "/v1/acme/lock", {"holder": "other", "seconds": 30})
        self.assertEqual(status, 409, refused)
        await self.put("/v1/acme/account", {"directory": "https://ca/", "url": "https://ca/1", "secret": "pem"})
        order = {"name": f"*.{ZONE}", "names": [f"*.{ZONE}"], "error": "the authority is away", "failures": 1}
        await self.put(f"/v1/acme/orders/*.{ZONE}", order)
        _, answer = await self.call("GET", "/v1/acme")
        view = msgspec.convert(answer, View)
        assert view.account is not None
        private = Path(self.directory, "state", FILE).read_bytes()
        self.assertEqual(open_sealed(private, view.account.sealed, "account"), "pem")
        self.assertEqual([(each.name, each.error) for each in view.orders], [(f"*.{ZONE}", "the authority is away")])
        self.assertEqual(view.wanted, ((ZONE, f"*.{ZONE}"),))
        _, status_answer = await self.call("GET", "/v1/certificates")
        self.assertEqual([each["state"] for each in status_answer["certificates"]], ["begun", "wanted"])
        _, metrics = await self.call("GET", "/metrics")
        self.assertIn(f'warp_edge_acme_order_failures{{name="*.{ZONE}"}} 1.0', metrics)

    async def test_caa(self) -> None:
        """Who else may issue is said in DNS as soon as the account is known."""
        account = {"directory": "https://ca/", "url": "https://ca/acct/1", "issuers": ["ca.example"], "secret": "pem"}
        await self.put("/v1/acme/account", account)
        host, port = self.node.ports.dns[0]

        async def is_said() -> bool:
            query = dns.message.make_query(ZONE, "CAA")
            answer = await deferToThread(dns.query.udp, query, host, timeout=5, port=port)
            found = {str(record) for rrset in answer.answer for record in rrset}
            tail = "accounturi=https://ca/acct/1; validationmethods="
            return found == {
                f'0 issue "ca.example; {tail}dns-01,http-01"',
                f'0 issuewild "ca.example; {tail}dns-01"',
            }

        await until_said(is_said)


class FleetTests(AdminTestCase):
    """Two edges with one etcd."""

    timeout = 240

    async def prepare(self) -> None:
        """Start etcd and the first edge; nobody orders."""
        self.patch(acme_parts, "IssuingProcess", lambda *arguments: None)
        self.etcd = EtcdPeer()
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        self.sections = SECTIONS | {"registry": {"etcd": {"endpoints": [self.etcd.url]}}}
        self.directory = short_directory_of(self)
        self.agents = []
        self.node = make_node(self.directory, **self.sections)
        await self.begin(self.node)

    async def begin(self, node: EdgeNode) -> None:
        """Start an edge, to be stopped at the end."""
        node.startService()
        self.clean_up_with(lambda: self.stop(node))
        await node.started

    async def test_an_edge_that_is_added_and_removed(self) -> None:
        """It shows what was ordered before it came; when it is gone for good, nothing is sealed for it any more."""
        body, der = issued(ZONE, f"*.{ZONE}")
        status, answer = await self.call("PUT", f"/v1/certificates/{NAME}", body)
        self.assertEqual(status, 200, answer)
        second = make_edge(self.directory, "edge2", **self.sections)
        await self.begin(second)

        async def is_shown() -> bool:
            return await shown(second, f"app.{ZONE}") == der

        await until_said(is_shown, 40.0)
        body, der = issued(ZONE, f"*.{ZONE}")
        await self.call("PUT", f"/v1/certificates/{NAME}", body)
        await until_said(is_shown, 40.0)
        await second.stopService()
        await until(lambda: not self.node.parts.peers.links.names(), timeout=40.0)
        self.assertEqual((await self.call("DELETE", "/v1/peers/edge2"))[0], 200)
        certificates = self.node.parts.mirror.ordered_certificates
        await until(lambda: list(certificates[NAME].copies) == ["edge1"], timeout=40.0)

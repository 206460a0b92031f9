"""The whole way: an edge with `acme` starts the issuing process, is asked by DNS, and shows what was issued."""

import threading
from typing import Any

import dns.message
import dns.query
from cryptography import x509

from tests.acme.fake_directory_server import FakeDirectoryServer
from tests.case import until_said
from tests.system.edge.acme.test_ordering import shown
from tests.system.edge.live import ZONE
from tests.system.edge.test_admin import AdminTestCase

ISSUED_SECONDS = 90.0  # two, and what a busy machine needs


class IssuingTests(AdminTestCase):
    """An edge, and a directory that looks into its DNS."""

    timeout = 240

    async def prepare(self) -> None:
        """Start both."""
        self.dns: tuple[str, int] = ("", 0)
        self.asked: list[str] = []
        self.is_known = threading.Event()
        self.authority = FakeDirectoryServer(self, self.validate)
        self.sections = {
            "acme": {"directory": self.authority.url, "root": str(self.authority.root), "email": "ops@warp.test"},
            "certificates": None,
            "listen": {"https": ["tcp:0:interface=127.0.0.1"]},
        }
        await super().prepare()
        self.dns = self.node.ports.dns[0]
        self.is_known.set()

    def validate(self, kind: str, name: str, token: str, value: str) -> bool:
        """Look for the value, as an authority does; in a thread of the directory's."""
        self.is_known.wait(60)
        owner = f"_acme-challenge.{name.removeprefix('*.')}"
        host, port = self.dns
        answer = dns.query.udp(dns.message.make_query(owner, "TXT"), host, timeout=5, port=port)
        self.asked.append(f"{kind} {owner}")
        return any(value in str(record) for rrset in answer.answer for record in rrset)

    async def certificates(self) -> dict[str, Any]:
        """Return what the edge says of the one that is wanted."""
        _, answer = await self.call("GET", "/v1/certificates")
        found: dict[str, Any] = answer["certificates"][0]
        return found

    async def test_ordered_and_renewed(self) -> None:
        """One certificate for the zone and what is below is shown soon; asked for another, that one is."""
        await until_said(lambda: self.is_shown_but(b""), ISSUED_SECONDS)
        first = await shown(self.node, f"app.{ZONE}")
        names = x509.load_der_x509_certificate(first).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        self.assertEqual(sorted(names.value.get_values_for_type(x509.DNSName)), [f"*.{ZONE}", ZONE])
        self.assertEqual(set(self.asked), {f"dns-01 _acme-challenge.{ZONE}"})
        said = await self.certificates()
        self.assertEqual((said["state"], said["error"]), ("issued", ""))
        self.assertEqual(said["expires_at"], x509.load_der_x509_certificate(first).not_valid_after_utc.timestamp())
        self.assertEqual((await self.call("GET", "/v1/challenges"))[1], [])
        status, answer = await self.call("POST", "/v1/certificates/renew", {"name": ZONE})
        self.assertEqual(status, 200, answer)
        await until_said(lambda: self.is_shown_but(first), ISSUED_SECONDS)

    async def is_shown_but(self, former: bytes) -> bool:
        """Whether visitors are shown a certificate, and not a former one."""
        return await shown(self.node, f"app.{ZONE}") not in (b"", former)

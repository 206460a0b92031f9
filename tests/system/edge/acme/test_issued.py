"""An edge with `acme` and Pebble, nobody between: a certificate is ordered, proved by the edge's DNS, and shown."""

from cryptography import x509

from tests.case import until_said
from tests.system.acme.pebble import Pebble
from tests.system.edge.acme.test_ordering import shown
from tests.system.edge.live import ZONE
from tests.system.edge.test_admin import AdminTestCase
from tests.system.ports import free_port

PATIENCE_SECONDS = 90.0


class IssuedTests(AdminTestCase):
    """The whole way, in one edge."""

    timeout = 280

    async def prepare(self) -> None:
        """Start Pebble, which asks the edge's name server, and an edge that orders from it."""
        port = free_port()
        self.pebble = Pebble(self, port)
        await self.pebble.ready()
        self.sections = {
            "acme": {"directory": self.pebble.url, "root": str(self.pebble.root), "email": f"hostmaster@{ZONE}"},
            "certificates": None,
            "listen": {"https": ["tcp:0:interface=127.0.0.1"], "dns": [f"127.0.0.1:{port}"]},
        }
        await super().prepare()

    async def leaf(self) -> x509.Certificate | None:
        """Return the certificate that a visitor of an application is shown, if there is one."""
        der = await shown(self.node, f"app.{ZONE}")
        return x509.load_der_x509_certificate(der) if der else None

    async def test_issued_and_renewed(self) -> None:
        """The certificate comes without a hand; renewed by an operator, another one takes its place at once."""
        await until_said(self._is_shown, PATIENCE_SECONDS)
        first = await self.leaf()
        assert first is not None
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(set(names.get_values_for_type(x509.DNSName)), {ZONE, f"*.{ZONE}"})
        status, answer = await self.call("POST", "/v1/certificates/renew", {"name": ZONE})
        self.assertEqual(status, 200, answer)

        async def is_another() -> bool:
            now = await self.leaf()
            return now is not None and now.serial_number != first.serial_number

        await until_said(is_another, PATIENCE_SECONDS)

    async def _is_shown(self) -> bool:
        return await self.leaf() is not None

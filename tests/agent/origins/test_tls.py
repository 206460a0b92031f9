"""Tests of `warp_twisted.agent.origins.tls`: handshakes are tested on sockets in `tests.system.agent.test_origins`."""

from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.system.agent.origins import self_signed
from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.agent.origins.tls import _Unverified, origin_tls, read_ca
from warp_twisted.errors import InvalidSettings


def context_of(creator: object) -> SSL.Context:
    """Return what connections are made with."""
    assert isinstance(creator, _Unverified)
    return creator._context


class ReadCaTests(SynchronousTestCase):
    """A file of authorities."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def test_several(self) -> None:
        """Each certificate of the file counts, whatever stands between them."""
        pems = [self_signed(self.directory, name)[1].read_text() for name in ("a.example", "b.example")]
        path = self.directory / "ca.pem"
        path.write_text("first\n" + "\nsecond\n".join(pems))
        self.assertEqual(len(read_ca(str(path))), 2)

    def test_refused(self) -> None:
        """A file that is missing, empty or broken is refused with its path."""
        path = self.directory / "ca.pem"
        self.assertIn(f"{path} cannot be read", str(self.assertRaises(InvalidSettings, read_ca, str(path))))
        path.write_text("nothing")
        self.assertIn("holds no certificate", str(self.assertRaises(InvalidSettings, read_ca, str(path))))
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.assertIn("holds a broken certificate", str(self.assertRaises(InvalidSettings, read_ca, str(path))))


class OriginTlsTests(SynchronousTestCase):
    """What connections to an origin are made with."""

    def test_server_name(self) -> None:
        """A server_name is a hostname or an address, or it is refused with its key."""
        for name in ("app.internal", "192.0.2.1", "2001:db8::1"):
            self.assertIsNotNone(origin_tls("localhost", OriginRequest(server_name=name)))
        error = self.assertRaises(InvalidSettings, origin_tls, "localhost", OriginRequest(server_name="a..b"))
        self.assertTrue(str(error).startswith("originRequest.server_name: "), error)

    def test_origins_that_trust_the_same_share_a_context(self) -> None:
        """A hundred origins read the authorities once, until the file holds others."""
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / "ca.pem"
        path.write_text(self_signed(directory, "a.example")[1].read_text())
        requests = [OriginRequest(), OriginRequest(ca=str(path)), OriginRequest(no_tls_verify=True)]
        before = [context_of(origin_tls("a.example", request)) for request in requests]
        for number in range(100):
            for request, context in zip(requests, before, strict=True):
                self.assertIs(context_of(origin_tls(f"{number}.example", request)), context)
        self.assertEqual(len(set(map(id, before))), 3)
        path.write_text(self_signed(directory, "b.example")[1].read_text())
        self.assertIsNot(context_of(origin_tls("a.example", requests[1])), before[1])

    def test_no_tls_verify_needs_no_ca(self) -> None:
        """What is not verified does not need an authority that can be read."""
        self.assertIsNotNone(origin_tls("localhost", OriginRequest(no_tls_verify=True, ca="/nowhere")))
        self.assertRaises(InvalidSettings, origin_tls, "localhost", OriginRequest(ca="/nowhere"))

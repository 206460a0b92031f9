"""Tests of `warp_twisted.agent.origins.tls`: handshakes are tested on sockets in `tests.system.agent.test_origins`."""

import contextlib
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.self_signed import self_signed
from tests.system.agent.origins import origin_certificate
from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.agent.origins.tls import _Unverified, origin_tls, read_ca, read_client
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
        pems = [origin_certificate(self.directory, name)[1].read_text() for name in ("a.example", "b.example")]
        path = self.directory / "ca.pem"
        path.write_text("first\n" + "\nsecond\n".join(pems))
        self.assertEqual(len(read_ca(str(path))), 2)

    def test_damaged(self) -> None:
        """One that is damaged is left out, and said."""
        _, good = origin_certificate(self.directory, "a.example")
        path = self.directory / "ca.pem"
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + good.read_text())
        self.assertEqual(len(read_ca(str(path))), 1)

    def test_refused(self) -> None:
        """A file that is missing, empty or broken is refused with its path."""
        path = self.directory / "ca.pem"
        self.assertIn(f"{path} cannot be read", str(self.assertRaises(InvalidSettings, read_ca, str(path))))
        path.write_text("nothing")
        self.assertIn("holds no certificate", str(self.assertRaises(InvalidSettings, read_ca, str(path))))
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.assertIn("holds a broken certificate", str(self.assertRaises(InvalidSettings, read_ca, str(path))))


class ReadClientTests(SynchronousTestCase):
    """The agent's own certificate for an origin."""

    def test_refused(self) -> None:
        """What cannot be read, is no certificate or key, or does not belong together is refused with key and path."""
        directory = Path(self.mktemp())
        directory.mkdir()
        files = {name: directory / name for name in ("pem", "key", "other", "nothing")}
        _, pem, key = self_signed("a", [])
        for path, content in zip(files.values(), (pem, key, self_signed("b", [])[2], b"nothing"), strict=True):
            path.write_bytes(content)
        names = {name: str(path) for name, path in files.items()}
        self.assertIsNone(read_client(OriginRequest()))
        client = read_client(OriginRequest(client_certificate=names["pem"], client_key=names["key"]))
        self.assertEqual(client, (pem, key))
        self.assertEqual(repr(client), "Client(****)")
        for certificate, own_key, words in (
            ("/nowhere", names["key"], "client_certificate: /nowhere cannot be read"),
            (names["pem"], "/nowhere", "client_key: /nowhere cannot be read"),
            (names["nothing"], names["key"], "client_certificate: .* holds no certificate"),
            (names["pem"], names["nothing"], "client_key: .* holds no key"),
            (names["pem"], None, "client_certificate: .* holds no key"),
            (names["pem"], names["other"], "client_key: the key in .* is not the certificate's"),
            (None, names["key"], "client_key: there is no client_certificate"),
        ):
            request = OriginRequest(client_certificate=certificate, client_key=own_key)
            with self.assertRaisesRegex(InvalidSettings, f"^originRequest.{words}"):
                read_client(request)


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
        path.write_text(origin_certificate(directory, "a.example")[1].read_text())
        requests = [OriginRequest(), OriginRequest(ca=str(path)), OriginRequest(no_tls_verify=True)]
        before = [context_of(origin_tls("a.example", request)) for request in requests]
        for number in range(100):
            for request, context in zip(requests, before, strict=True):
                self.assertIs(context_of(origin_tls(f"{number}.example", request)), context)
        self.assertEqual(len(set(map(id, before))), 3)
        path.write_text(origin_certificate(directory, "b.example")[1].read_text())
        self.assertIsNot(context_of(origin_tls("a.example", requests[1])), before[1])

    def shakes_hands(self, client_context: SSL.Context, groups: bytes) -> bool:
        """Whether a handshake in memory succeeds with an origin that takes only these groups."""
        directory = Path(self.mktemp())
        directory.mkdir()
        options, _ = origin_certificate(directory, "localhost")
        server_context = options.getContext()
        library: Any = getattr(SSL, "_lib")  # noqa: B009 -- pyOpenSSL has no call of its own for this
        self.assertEqual(library.SSL_CTX_set1_curves_list(server_context._context, groups), 1)
        client = SSL.Connection(client_context, None)
        client.set_connect_state()
        server = SSL.Connection(server_context, None)
        server.set_accept_state()
        for _ in range(5):
            for one, other in ((client, server), (server, client)):
                try:
                    one.do_handshake()
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    return False
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(65536))
        return client.get_cipher_name() is not None

    def test_key_exchanges_of_bounded_cost(self) -> None:
        """Curves are taken; finite fields, which an origin could make cost 128 ms, are not, in TLS 1.3 and 1.2."""
        ours, usual = (
            context_of(origin_tls("a.example", OriginRequest(no_tls_verify=True))),
            SSL.Context(SSL.TLS_METHOD),
        )
        for group in (b"X25519", b"P-256", b"P-384", b"P-521"):
            self.assertTrue(self.shakes_hands(ours, group), group)
        for group in (b"ffdhe2048", b"ffdhe8192"):
            self.assertFalse(self.shakes_hands(ours, group), group)
        self.assertTrue(self.shakes_hands(usual, b"ffdhe2048"))  # the larger ones only before OpenSSL 3.5
        offered = SSL.Connection(ours, None).get_cipher_list()
        self.assertEqual([name for name in offered if name.startswith("DHE-")], [])
        self.assertIn("ECDHE-RSA-AES128-GCM-SHA256", offered)

    def test_no_tls_verify_needs_no_ca(self) -> None:
        """What is not verified does not need an authority that can be read."""
        self.assertIsNotNone(origin_tls("localhost", OriginRequest(no_tls_verify=True, ca="/nowhere")))
        self.assertRaises(InvalidSettings, origin_tls, "localhost", OriginRequest(ca="/nowhere"))

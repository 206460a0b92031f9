"""Tests of the functions of OpenSSL that are called past Python; what they do is `test_asking`'s."""

import ssl
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority
from warp_twisted.edge.certificates import openssl
from warp_twisted.edge.certificates.contexts import visitors_context
from warp_twisted.edge.certificates.openssl import AuthorityName, OutOfReach, ask_for_certificate, forget_tickets


class OpensslTests(SynchronousTestCase):
    """What is refused before memory is touched, and what is given back."""

    def connection(self) -> ssl.SSLObject:
        """Begin a handshake."""
        return visitors_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), True)

    def ask(self, connection: ssl.SSLObject) -> None:
        """Ask for anything."""
        ask_for_certificate(connection, visitors_context(), [], chain_bytes=1, depth=1)

    def test_other_connections(self) -> None:
        """An object that is no connection of Python's, or has its context elsewhere, is not written to."""
        self.ask(self.connection())
        inside = ssl.SSLObject.__new__(ssl.SSLObject)
        self.assertRaisesRegex(OutOfReach, "another way than we know", self.ask, inside)
        inside._sslobj = object()  # type: ignore[attr-defined]  # a Python that keeps it elsewhere
        self.assertRaisesRegex(OutOfReach, "another way than we know", self.ask, inside)
        self.patch(openssl, "_CONTEXT_OFFSET", openssl._SSL_OFFSET)
        self.assertRaisesRegex(OutOfReach, "another way than we know", self.ask, self.connection())

    def test_missing_function(self) -> None:
        """A function that this OpenSSL has not is named."""
        self.assertRaisesRegex(OutOfReach, "SSL_no_such_thing", openssl._function, "SSL_no_such_thing", (), None)

    def test_refusals(self) -> None:
        """What OpenSSL refuses is said, and not passed over."""
        self.assertRaisesRegex(OutOfReach, "cannot read a certificate", AuthorityName, b"nonsense")
        self.patch(openssl, "_TICKET_KEY_BYTES", 3)
        self.assertRaisesRegex(OutOfReach, "ticket", forget_tickets, visitors_context())
        self.patch(openssl, "_CTRL_SET_VERIFY_CERT_STORE", 100_000)
        self.assertRaisesRegex(OutOfReach, "verify_cert_store", self.ask, self.connection())

    def test_names_are_given_back(self) -> None:
        """What OpenSSL made of an authority is freed with it, and a connection keeps the name that it was told."""
        directory = Path(self.mktemp())
        directory.mkdir()
        freed: list[str] = []
        function = openssl._function

        def noted(name: str, takes: tuple[object, ...], returns: object) -> Callable[..., object]:
            freed.extend([name] if name == "X509_free" else [])
            return function(name, takes, returns)

        self.patch(openssl, "_function", noted)
        name = AuthorityName(ClientAuthority(directory).der)
        connection = self.connection()
        for _ in range(2):
            ask_for_certificate(connection, visitors_context(), [name], chain_bytes=1, depth=1)
        self.assertEqual(freed, [])
        del name
        self.assertEqual(freed, ["X509_free"])
        self.ask(connection)

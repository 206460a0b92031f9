"""`tunnel.groups`: what is taken, what is refused, and that nothing starts where it would not be so."""

import ssl
from time import thread_time

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel import groups
from warp_twisted.tunnel.groups import GROUPS, MANDATORY_GROUP, REFUSED_GROUPS, restrict_groups


class GroupsTests(SynchronousTestCase):
    """`restrict_groups` with the OpenSSL that is here, and with ones that do not obey."""

    def setUp(self) -> None:
        self.addCleanup(groups._prove.cache_clear)

    def server(self) -> ssl.SSLContext:
        """A restricted server that can answer a hello."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        groups._show_something(context)
        restrict_groups(context)
        return context

    def assert_refused(self, reason: str) -> None:
        """No context is restricted, and the sentence says why."""
        groups._prove.cache_clear()
        error = self.assertRaises(InvalidSettings, restrict_groups, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.assertIn(reason, str(error))
        self.assertIn(ssl.OPENSSL_VERSION, str(error))

    def test_what_is_taken(self) -> None:
        """The three groups are taken, and none of OpenSSL's other defaults."""
        server = self.server()
        self.assertEqual([group for group in GROUPS if groups._is_taken(server, group)], list(GROUPS))
        for group in (*REFUSED_GROUPS, "X448", "ffdhe3072"):
            self.assertFalse(groups._is_taken(server, group), group)

    def test_defaults_take_more(self) -> None:
        """Without restriction they are taken, so the refusals above are its doing."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        groups._show_something(server)
        self.assertTrue(groups._is_taken(server, "P-521"))

    def test_price_of_a_refusal(self) -> None:
        """A hello that offers ffdhe8192 only costs the server well below 5 ms; unrestricted it is 128 ms."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        self.assertEqual(groups._set_groups(client, ("ffdhe8192",)), ("ffdhe8192",))
        hello, away = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.assertRaises(ssl.SSLWantReadError, client.wrap_bio(away, hello).do_handshake)
        replayed = hello.read()
        server = self.server()
        took = []
        for _ in range(5):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            incoming.write(replayed)
            handshake = server.wrap_bio(incoming, outgoing, server_side=True)
            began = thread_time()
            self.assertRaises(ssl.SSLError, handshake.do_handshake)
            took.append(thread_time() - began)
        self.assertLess(min(took), 0.005)

    def test_openssl_that_ignores_the_list(self) -> None:
        """An OpenSSL that says yes and takes everything all the same is found out, and nothing starts."""
        self.patch(groups, "_control", lambda: lambda pointer, command, number, text: 1)
        self.assert_refused("P-521 is taken all the same")

    def test_openssl_that_refuses_the_list(self) -> None:
        """An OpenSSL that refuses the list is not served with."""
        self.patch(groups, "_control", lambda: lambda pointer, command, number, text: 0)
        self.assert_refused("the list was refused")

    def test_openssl_that_knows_fewer(self) -> None:
        """One that takes the list and not one of its groups is not served with either."""
        control = groups._control()
        assert control is not None

        def forgetful(pointer: int | None, command: int, number: int, text: bytes) -> int:
            return control(pointer, command, number, text.replace(b"X25519:", b""))

        self.patch(groups, "_control", lambda: forgetful)
        self.assert_refused("X25519 is not taken")

    def test_openssl_out_of_reach(self) -> None:
        """Where OpenSSL's own call cannot be made, the one group that every client of TLS 1.3 has is taken."""
        self.patch(groups, "_control", lambda: None)
        groups._prove.cache_clear()
        server = self.server()
        self.assertEqual([group for group in GROUPS if groups._is_taken(server, group)], [MANDATORY_GROUP])
        self.assertFalse(groups._is_taken(server, "P-521"))

    def test_newer_python(self) -> None:
        """A Python that has a call for it is asked by that call."""

        class Context(ssl.SSLContext):
            asked = ""

            def set_groups(self, text: str) -> None:
                self.asked = text
                if text == "none":
                    raise ssl.SSLError("no such group")

        context = Context(ssl.PROTOCOL_TLS_SERVER)
        self.assertEqual((groups._set_groups(context, GROUPS), context.asked), (GROUPS, "X25519:P-256:P-384"))
        self.assertEqual(groups._set_groups(context, ("none",)), ())

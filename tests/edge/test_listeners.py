"""Tests of what an edge listens on, with a reactor in memory."""

import os
import socket

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.reactor import as_reactor
from warp_twisted.edge.listeners import Listeners, accept_queue
from warp_twisted.errors import InvalidSettings


class FullReactor(MemoryReactorClock):
    """A reactor on which nothing can be listened on, in memory."""

    def listenUNIX(self, address: str, *arguments: object, **keywords: object) -> object:
        """Refuse."""
        raise CannotListenError(None, address, OSError("taken"))

    def listenTCP(self, port: int, *arguments: object, **keywords: object) -> object:
        """Refuse."""
        raise CannotListenError("", port, OSError("taken"))


class QueueTests(SynchronousTestCase):
    """The queue of a socket that two processes share, on a real one."""

    def test_connections_that_wait(self) -> None:
        """Each that nobody has accepted counts, whichever process would."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = type("Port", (), {"socket": listening})()
            self.assertEqual(accept_queue(port), 0)
            others = [socket.create_connection(listening.getsockname(), timeout=5) for _ in range(3)]
            self.assertEqual(accept_queue(port), 3)
            listening.accept()[0].close()
            self.assertEqual(accept_queue(port), 2)
            for other in others:
                other.close()

    def test_no_tcp(self) -> None:
        """What has no such queue says that nobody waits."""
        with socket.socket(socket.AF_UNIX) as other:
            self.assertEqual(accept_queue(type("Port", (), {"socket": other})()), 0)
        self.assertEqual(accept_queue(object()), 0)


class ListenersTests(SynchronousTestCase):
    """Opened and closed by name."""

    def setUp(self) -> None:
        """Begin with nothing open."""
        self.reactor = MemoryReactorClock()
        self.listeners = Listeners(as_reactor(self.reactor), {})
        self.factory: Factory[Protocol] = Factory.forProtocol(Protocol)

    def open(self, name: str, texts: tuple[str, ...] | str | None) -> "Deferred[tuple[int, ...]]":
        """Listen."""
        return Deferred.fromCoroutine(self.listeners.open(name, texts, self.factory))  # type: ignore[arg-type]

    def test_list_and_single_text(self) -> None:
        """A list opens each of its texts, one text opens one, and nothing opens nothing."""
        self.successResultOf(self.open("http", ("tcp:80", "tcp:8080:interface=192.0.2.1")))
        self.successResultOf(self.open("metrics", "tcp:9464"))
        self.assertEqual(self.successResultOf(self.open("https", None)), ())
        opened = [(port, interface) for port, _, _, interface in self.reactor.tcpServers]
        self.assertEqual(opened, [(80, ""), (8080, "192.0.2.1"), (9464, "")])
        self.assertEqual(self.listeners.names, {"http", "metrics"})

    def test_nothing_to_serve(self) -> None:
        """Without a factory nothing is listened on."""
        opening = Deferred.fromCoroutine(self.listeners.open("https", ("tcp:443",), None))
        self.assertEqual((self.successResultOf(opening), self.reactor.tcpServers), ((), []))

    def test_close(self) -> None:
        """What is closed is gone by its name; closing again, or what was never open, does nothing."""
        for name in ("http", "tunnel"):
            self.successResultOf(self.open(name, ("tcp:80",)))
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(self.listeners.close("http", "admin")))
        self.assertEqual(self.listeners.names, {"tunnel"})

    def test_refused_text(self) -> None:
        """A text that is no endpoint, and one that is taken, are named with their key; the ones before stay open."""
        error = self.failureResultOf(self.open("http", ("tcp:80", "nonsense:x")), InvalidSettings)
        self.assertIn("listen.http[1]: ", str(error.value))
        self.assertEqual(self.listeners.names, {"http"})
        self.listeners = Listeners(as_reactor(FullReactor()), {})
        error = self.failureResultOf(self.open("metrics", "tcp:80"), InvalidSettings)
        self.assertEqual(str(error.value), "listen.metrics: tcp:80: taken")

    def test_sockets_of_systemd(self) -> None:
        """All sockets that systemd handed over under a name are opened, each in its own family; none is an error."""
        adopted: list[tuple[int, int]] = []

        class Adopting(MemoryReactorClock):
            """A reactor that notes what it adopts."""

            def adoptStreamPort(self, descriptor: int, family: int, factory: object) -> object:
                """Note one."""
                adopted.append((descriptor, family))
                return self.listenTCP(0, factory)

        with socket.socket() as one, socket.socket(socket.AF_INET) as other:
            descriptors = [os.dup(one.fileno()), os.dup(other.fileno())]
        self.listeners = Listeners(as_reactor(Adopting()), {"http": descriptors})
        self.assertEqual(len(self.successResultOf(self.open("http", ("systemd:name=http",)))), 2)
        self.assertEqual(adopted, [(descriptor, socket.AF_INET) for descriptor in descriptors])
        error = self.failureResultOf(self.open("https", ("systemd:name=https",)), InvalidSettings)
        self.assertIn("listen.https[0]: systemd handed this process no socket for", str(error.value))

    def test_unix_socket(self) -> None:
        """A unix socket is opened with its mode; one that cannot be had is named, and its factory is stopped again."""
        self.listeners.open_unix("admin", "/run/admin.sock", self.factory, 0o660)
        self.assertEqual(
            [(address, mode) for address, _, _, mode, _ in self.reactor.unixServers], [("/run/admin.sock", 0o660)]
        )
        listeners = Listeners(as_reactor(FullReactor()), {})
        self.factory.doStart()
        error = self.assertRaises(InvalidSettings, listeners.open_unix, "admin", "/run/x", self.factory, 0o660)
        self.assertEqual((str(error), self.factory.numPorts), ("listen.admin: /run/x: taken", 0))
        self.assertEqual(listeners.names, frozenset())

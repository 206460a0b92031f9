"""Key exchange groups over loopback, with OpenSSL's own client as the peer, on both ports of an edge."""

from pathlib import Path

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from benchmarks.certificates import write_certificate
from tests.case import reactor
from tests.system.tunnel.authority import Authority
from tests.system.tunnel.loopback import port_of, serve, until
from warp_twisted.edge.certificates.directory import CertificateDirectory
from warp_twisted.errors import WarpError
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import TunnelListener, Turn, edge_context
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.control import EnrollRefused, EnrollRequest, ReturnRequest


class GroupsTests(TestCase):
    """`openssl s_client -groups` against the tunnel port's context and the visitors'."""

    timeout = 60

    def setUp(self) -> None:
        self.failures: list[WarpError] = []
        self.connections = 0
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def visitors_port(self) -> int:
        """Listen as an edge does for visitors."""
        write_certificate(self.directory, ["app.example.org"])
        context = CertificateDirectory(str(self.directory), reactor).context

        def build() -> Protocol:
            return self.counted(
                TlsProtocol(
                    context,
                    is_server=True,
                    secured=lambda transport: Protocol(),
                    failed=self.failures.append,
                    clock=reactor,
                )
            )

        port = serve(build)
        self.addCleanup(port.stopListening)
        return port_of(port)

    def tunnel_port(self) -> int:
        """Listen as an edge does for agents."""
        authority = Authority(self.directory)
        leaf = authority.leaf("edge1.example.org", is_server=True)

        async def enroll(request: EnrollRequest | ReturnRequest, asker: Asker) -> EnrollRefused:
            return EnrollRefused(code="no", reason="no")

        listener = TunnelListener(
            context=edge_context(root_pem=authority.root_pem, chain_file=leaf.chain_file, key_file=leaf.key_file),
            delegate=RecordingDelegate(),
            reactor=reactor,
            turn=Turn(reactor),
            root_pem=authority.root_pem,
            enroll=enroll,
            refused=lambda address, error: self.failures.append(error),
        )

        def build() -> Protocol:
            protocol = listener.buildProtocol(None)
            assert protocol is not None
            return self.counted(protocol)

        port = serve(build)
        self.addCleanup(port.stopListening)
        return port_of(port)

    def counted(self, protocol: TlsProtocol) -> TlsProtocol:
        """Count a connection until it is lost."""
        self.connections += 1
        lost = protocol.connectionLost

        def connection_lost(reason: Failure = connectionDone) -> None:
            lost(reason)
            self.connections -= 1

        protocol.connectionLost = connection_lost  # type: ignore[method-assign]
        return protocol

    async def shake_hands(self, port: int, group: str) -> tuple[int, str]:
        """Let OpenSSL shake hands over one group; returns its exit status and what it says."""
        arguments = ["s_client", "-connect", f"127.0.0.1:{port}", "-groups", group, "-alpn", "warp-enroll/1,http/1.1"]
        out, err, status = await getProcessOutputAndValue("openssl", [*arguments, "-brief"], stdinBytes=b"Q\n")
        await until(lambda: not self.connections)
        return status, (out + err).decode()

    async def assert_groups(self, port: int) -> None:
        """The three groups are taken, and others refused before anything costly is computed."""
        for group, named in (("X25519", "X25519"), ("P-256", "prime256v1"), ("P-384", "secp384r1")):
            status, said = await self.shake_hands(port, group)
            self.assertEqual((status, named in said), (0, True), said)
        for group in ("ffdhe8192", "ffdhe2048", "P-521", "X448"):
            failed = len(self.failures)
            status, said = await self.shake_hands(port, group)
            self.assertEqual((status, len(self.failures)), (1, failed + 1), said)
            self.assertIn("NO_SUITABLE_KEY_SHARE", str(self.failures[-1]))
        status, said = await self.shake_hands(port, "ffdhe8192:P-256")
        self.assertEqual((status, "prime256v1" in said), (0, True), said)

    async def test_visitors(self) -> None:
        """On the visitors' port."""
        await self.assert_groups(self.visitors_port())

    async def test_agents(self) -> None:
        """On the tunnel port."""
        await self.assert_groups(self.tunnel_port())

"""Who gets into a real etcd that asks for certificates of the registry's own authority: edges, and nobody else."""

import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase, reactor, until
from tests.client_authority import ClientAuthority
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.ca.issue import issue_agent, issue_edge, issue_leaf, key_to_pem, new_key, to_pem
from warp_twisted.ca.registry_certificates import Use
from warp_twisted.ca.registry_files import add_certificate, init_registry, load_registry_root
from warp_twisted.ca.store import add_edge, init_root, load_edge
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.client import EtcdClient
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.messages import RANGE_PATH, range_request, read_page
from warp_twisted.registry.etcd.store import EtcdStore
from warp_twisted.registry.etcd.trust import RegistryTrust, TrustFiles


def urlopen_later(url: str, context: ssl.SSLContext) -> Deferred[bytes]:
    """Ask with the standard library, in a thread."""
    return deferToThread(lambda: urllib.request.urlopen(url, range_request(), timeout=10, context=context).read())


class TrustTests(AsyncTestCase):
    """An etcd with `--client-cert-auth`."""

    timeout = 60

    async def prepare(self) -> None:
        """Make both authorities, and start etcd."""
        self.now = datetime.now(UTC)
        self.directory = Path(self.mktemp())
        init_root(self.directory, "warp.example", self.now)
        add_edge(self.directory, "edge1", self.now)
        init_registry(self.directory, "warp.example", self.now)
        server, _ = add_certificate(self.directory, Use.SERVER, "etcd1", ("127.0.0.1",), self.now)
        self.own, _ = add_certificate(self.directory, Use.CLIENT, "edge1", (), self.now)
        self.root = self.directory / "registry-root.pem"
        self.etcd = EtcdPeer(
            f"--cert-file={server}",
            f"--key-file={server.with_suffix('.key')}",
            "--client-cert-auth",
            f"--trusted-ca-file={self.root}",
        )
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()

    def files(self, certificate: Path) -> TrustFiles:
        """Return the files of a client."""
        return TrustFiles(ca=self.root, certificate=certificate, key=certificate.with_suffix(".key"))

    def client(self, trust: RegistryTrust) -> EtcdClient:
        """Return what asks this etcd."""
        client = EtcdClient(reactor, Endpoints([self.etcd.url]), trust)
        self.clean_up_with(client.close)
        return client

    def write(self, name: str, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> Path:
        """Write a certificate and its key."""
        path = self.directory / f"{name}.pem"
        path.write_text(to_pem(*chain))
        path.with_suffix(".key").write_bytes(key_to_pem(key))
        return path

    async def test_the_right_certificate(self) -> None:
        """An edge with a certificate of the registry's authority reads, writes and follows."""
        store = EtcdStore(self.client(RegistryTrust(self.files(self.own))), reactor, "edge1")
        self.addCleanup(store.close)
        store.start()
        await store.ready
        await until(lambda: not store.problem)
        await store.put("a/1", b"x")
        page = read_page(await self.client(RegistryTrust(self.files(self.own))).call(RANGE_PATH, range_request()))
        self.assertIn("a/1", [each.key for each in page.changes])

    async def test_everybody_else(self) -> None:
        """An agent's, an edge's and a visitor's certificate, and none at all, are refused."""
        edge = load_edge(self.directory / "root.pem", self.directory / "edge1.pem", self.directory / "edge1.key")
        key = new_key()
        pattern = HostnamePattern.parse("app.warp.example")
        agent = issue_agent(edge.issuer, key.public_key(), "a-1", [pattern], self.now)
        tunnel = issue_edge(edge.issuer, key.public_key(), ["edge1.warp.example"], [], self.now)
        authority = ClientAuthority(self.directory)
        visitors = ec.generate_private_key(ec.SECP256R1())
        visitor = authority.issue("visitor", key=visitors).certificate
        # With more than one certificate in the file, this side does not look who signed it.
        for name, shown, chain in (
            ("agent", key, (agent, *edge.issuer.chain)),
            ("tunnel", key, (tunnel, *edge.issuer.chain)),
            ("intermediate", edge.issuer.key, (edge.issuer.certificate, *edge.roots)),
            ("visitor", visitors, (visitor, authority.certificate)),
        ):
            client = self.client(RegistryTrust(self.files(self.write(name, shown, *chain))))
            with self.assertRaisesRegex(StoreBroken, "does not answer: .*(certificate|alert|unknown ca)", msg=name):
                await client.call(RANGE_PATH, range_request())
        context = ssl.create_default_context(cafile=self.root)
        asked = urlopen_later(self.etcd.url + RANGE_PATH, context)
        with self.assertRaisesRegex(OSError, "alert|certificate required|EOF|reset"):
            await asked

    async def test_another_server(self) -> None:
        """A member whose certificate is for another address, or of another authority, is asked nothing."""
        other = Path(self.mktemp())
        init_registry(other, "warp.example", self.now)
        mine, _ = add_certificate(other, Use.CLIENT, "edge1", (), self.now)
        files = TrustFiles(ca=other / "registry-root.pem", certificate=mine, key=mine.with_suffix(".key"))
        with self.assertRaisesRegex(StoreBroken, "certificate verify failed"):
            await self.client(RegistryTrust(files)).call(RANGE_PATH, range_request())
        elsewhere = EtcdClient(
            reactor, Endpoints([self.etcd.url.replace("127.0.0.1", "localhost")]), RegistryTrust(self.files(self.own))
        )
        self.clean_up_with(elsewhere.close)
        with self.assertRaisesRegex(StoreBroken, "does not answer"):
            await elsewhere.call(RANGE_PATH, range_request())

    async def test_read_again(self) -> None:
        """New files are used for new connections."""
        key, began = new_key(), self.now - timedelta(minutes=30)
        root = load_registry_root(self.directory)
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        ended = issue_leaf(root, key.public_key(), "edge edge1", (), usage, began, timedelta(minutes=10))
        trust = RegistryTrust(self.files(self.write("ended", key, ended)))
        client = self.client(trust)
        with self.assertRaises(StoreBroken):
            await client.call(RANGE_PATH, range_request())
        trust.read(self.files(self.own))
        self.assertGreater(trust.expires_at, self.now.timestamp())
        read_page(await client.call(RANGE_PATH, range_request()))

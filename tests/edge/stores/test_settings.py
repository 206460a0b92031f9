"""Tests of the section `registry` of edge.yaml."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.test_settings import read
from warp_twisted.edge.settings import needs_restart
from warp_twisted.errors import InvalidSettings

FILES = {"ca": "registry-root.pem", "certificate": "client.pem", "key": "client.key"}
URL = "https://etcd1.internal:2379"


class RegistrySettingsTests(SynchronousTestCase):
    """What is accepted, and in which words the rest is refused."""

    def refusal(self, **etcd: Any) -> str:
        """Return the words in which a section is refused."""
        error = self.assertRaises(InvalidSettings, read, registry={"etcd": etcd})
        return str(error).removeprefix("edge.yaml: ")

    def test_none(self) -> None:
        """Without the section the registry is a file of the edge."""
        self.assertIsNone(read().registry)

    def test_etcd(self) -> None:
        """Several members, by name or address of either kind; without TLS on loopback only."""
        urls = [URL, "https://192.0.2.1:2379", "https://[2001:db8::1]:2379"]
        found = read(registry={"etcd": {"endpoints": urls, **FILES}}).registry
        assert found is not None
        self.assertEqual((list(found.etcd.endpoints), found.etcd.key), (urls, "client.key"))
        for host in ("127.0.0.1", "[::1]", "localhost"):
            self.assertIsNotNone(read(registry={"etcd": {"endpoints": [f"http://{host}:2379"]}}).registry)

    def test_refused(self) -> None:
        """Each mistake is named with its key and what was expected."""
        for etcd, why in (
            ({}, "registry.etcd.endpoints"),
            ({"endpoints": []}, "registry.etcd.endpoints"),
            ({"endpoints": [f"https://e{number}:2379" for number in range(17)], **FILES}, "registry.etcd.endpoints"),
            ({"endpoints": [URL, "etcd2:2379"], **FILES}, "registry.etcd.endpoints[1]: expected https://HOST:PORT"),
            ({"endpoints": ["https://etcd1"], **FILES}, "registry.etcd.endpoints[0]: expected https://HOST:PORT"),
            ({"endpoints": [URL + "/"], **FILES}, "registry.etcd.endpoints[0]: expected"),
            ({"endpoints": ["https://user@etcd1:2379"], **FILES}, "registry.etcd.endpoints[0]: expected"),
            ({"endpoints": ["https://etcd1:99999"], **FILES}, "registry.etcd.endpoints[0]: expected"),
            ({"endpoints": ["https://[etcd1:2379"], **FILES}, "registry.etcd.endpoints[0]: expected"),
            ({"endpoints": ["http://192.0.2.1:2379"]}, "without TLS only on loopback"),
            ({"endpoints": ["http://127.0.0.1:2379"], **FILES}, "without ca, certificate and key"),
            ({"endpoints": [URL, URL], **FILES}, "registry.etcd.endpoints: one of them stands there twice"),
            ({"endpoints": [URL], **FILES, "key": None}, "registry.etcd.key: required for an https endpoint"),
            ({"endpoints": [URL], **FILES, "user": "x"}, "registry.etcd"),
        ):
            self.assertIn(why, self.refusal(**etcd), etcd)

    def test_needs_a_restart(self) -> None:
        """A running edge does not change from one registry to another."""
        etcd = {"endpoints": [URL], **FILES}
        self.assertEqual(needs_restart(read(), read(registry={"etcd": etcd})), ["registry"])

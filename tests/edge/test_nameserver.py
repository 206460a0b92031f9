"""Tests of the DNS server in the edge's process, as edge.yaml asks for it."""

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import Events
from tests.edge.control import ZONE, make_settings
from warp_base.reactor import as_reactor
from warp_dns.serve.server import DnsServer
from warp_twisted.edge.nameserver import check_nameserver, make_nameserver
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.published.publish import Publication

ADDRESS = "127.0.0.1:53"


class NameserverTests(SynchronousTestCase):
    """Made or refused; nothing is listened on."""

    def setUp(self) -> None:
        """Make a state directory."""
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.reactor = as_reactor(MemoryReactorClock())
        self.wall = SettableWallClock()

    def settings(self, dns: dict[str, object] | None = None, addresses: Sequence[str] = (ADDRESS,)) -> EdgeSettings:
        """Return settings of an edge that answers DNS."""
        return make_settings(state=str(self.state), listen={"dns": list(addresses)}, dns=dns or {})

    def refusal(self, settings: EdgeSettings) -> str:
        """Return why the check refuses settings."""
        return str(self.assertRaises(InvalidSettings, check_nameserver, self.reactor, settings))

    def test_no_address_no_server(self) -> None:
        """Where `listen.dns` is empty there is no server, but the zone's file is read all the same."""
        settings = self.settings(addresses=())
        self.assertIsNone(make_nameserver(self.reactor, self.wall, settings, Publication(ZONE)))
        check_nameserver(self.reactor, settings)
        self.assertIn("/nonexistent", self.refusal(self.settings({"master_file": "/nonexistent"}, addresses=())))

    def test_server_of_the_zone(self) -> None:
        """The server knows the zone, which has no serial before the server starts; the file of serials is its own."""
        server = make_nameserver(self.reactor, self.wall, self.settings(), Publication(ZONE))
        assert server is not None
        self.assertEqual((server.serial(ZONE), server.is_ready), (0, False))
        self.assertTrue((self.state / f"{ZONE}.serial").exists())

    def test_a_bad_zone_file(self) -> None:
        """It keeps no edge from its visitors: the zone alone is not answered, and the log names the file."""
        server = make_nameserver(
            self.reactor, self.wall, self.settings({"master_file": "/nonexistent"}), Publication(ZONE)
        )
        assert server is not None
        self.assertEqual(server.counters.zones_left_out, 1)

    def test_what_is_odd_in_the_zone_file(self) -> None:
        """It is served, and the check says what leads nowhere; an edge publishes addresses of name servers itself."""
        path = self.state / "records.zone"
        path.write_text("sub 60 NS ns.sub\nother 60 NS edge1\n")
        self.assertEqual(
            check_nameserver(self.reactor, self.settings({"master_file": str(path)})),
            [f"dns: {path}:1: ns.sub.{ZONE} has no address (glue), so nobody can follow the delegation"],
        )

    def test_keys_are_named_with_their_whole_path(self) -> None:
        """What is wrong with how DNS answers is said as of dns.yaml, beneath `dns`; also where nobody answers."""
        secret = self.state / "secret"
        secret.write_text("x" * 43 + "=")
        keys = [{"name": "k", "secret_file": str(secret)}]
        wrong: tuple[tuple[dict[str, object], str], ...] = (
            (
                {"keys": [{"name": "k", "secret_file": "/nonexistent"}]},
                "dns.keys[0].secret_file: /nonexistent: No such",
            ),
            ({"keys": [{**keys[0], "algorithm": "md5"}]}, "dns.keys[0].algorithm: expected one of hmac-sha1"),
            (
                {"keys": keys, "transfer": {"keys": ["q"]}},
                "dns.transfer.keys[0]: there is no key 'q' in keys; known: k",
            ),
            ({"transfer": {"networks": ["x"]}}, "dns.transfer.networks[0]: expected a network"),
            ({"notify": [{"address": "ns2.example"}]}, "dns.notify[0].address: expected an IP address"),
            ({"notify": [{"address": "192.0.2.7", "key": "k"}]}, "dns.notify[0].key: there is no key 'k'"),
            ({"cookies": {"secrets_file": "/nonexistent"}}, "dns.cookies.secrets_file: /nonexistent: No such"),
            ({"rate_limit": {"exempt": ["x"]}}, "dns.rate_limit.exempt[0]: expected a network"),
            ({"places": {"database": "/nonexistent"}}, "dns.places.database: /nonexistent"),
            ({"places": {"edges": {"edge1": {"region": "x"}}}}, "dns.places.edges.edge1.region: "),
        )
        for dns, words in wrong:
            for addresses in ((ADDRESS,), ()):
                refusal = self.refusal(self.settings(dns, addresses))
                self.assertTrue(refusal.startswith(words), refusal)
        good = self.settings({"keys": keys, "transfer": {"keys": ["K"]}, "notify": [{"address": "::1", "key": "k"}]})
        self.assertEqual(check_nameserver(self.reactor, good), [])

    def test_a_secret_that_cannot_be_read(self) -> None:
        """It keeps no edge from its visitors: its key is left out, and the log names the file."""
        events = Events()
        self.patch(DnsServer, "_log", Logger(observer=events))
        dns: dict[str, object] = {
            "keys": [{"name": "k", "secret_file": "/nonexistent"}],
            "transfer": {"keys": ["k"]},
        }
        self.assertIsNotNone(make_nameserver(self.reactor, self.wall, self.settings(dns), Publication(ZONE)))
        self.assertIn("dns.keys[0].secret_file: /nonexistent: ", str(events[0]["problem"]))

    def test_check_writes_nothing(self) -> None:
        """A configuration that is good leaves nothing behind."""
        check_nameserver(self.reactor, self.settings())
        self.assertEqual(list(self.state.iterdir()), [])

    def test_bad_address(self) -> None:
        """An address that is none is named with its key."""
        self.assertIn("listen.dns", self.refusal(self.settings(addresses=("nonsense",))))
        refusal = self.refusal(self.settings(addresses=(ADDRESS, "192.0.2.77:53")))
        self.assertIn("listen.dns[1]: this machine does not have that address now: 192.0.2.77:53", refusal)

    def test_broken_serial_file(self) -> None:
        """A file of the last serial that cannot be read is named, as the next serial would be a guess."""
        (self.state / f"{ZONE}.serial").write_text("not a number")
        self.assertTrue(self.refusal(self.settings()).startswith("state: "))

"""Tests of `warp_dns.program.service`: what a configuration names is looked at, and errors say where they stand."""

from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.reactor import as_reactor
from warp_dns.errors import DnsError
from warp_dns.program.configuration import parse_configuration
from warp_dns.program.service import check_file

GOOD = """
listen: ["127.0.0.1:5300"]
metrics: "tcp:9153:interface=127.0.0.1"
cookies: {{secrets_file: {directory}/cookies}}
keys: [{{name: k, secret_file: {directory}/secret}}]
places: {{regions: {{europe: {{coordinates: [50, 10], networks: [192.0.2.0/24]}}}}}}
zones:
  - name: first.example
    nameservers: {{ns1.first.example: [192.0.2.1]}}
    follow: {directory}/admin.sock
    serial_file: {directory}/serial
  - name: other.example
    primary: ns1.first.example
    master_file: {directory}/other.zone
    transfer: {{networks: [192.0.2.0/24], keys: [k]}}
    notify: [{{address: 198.51.100.1, key: k}}]
"""


class CheckFileTests(SynchronousTestCase):
    """What `--check` does."""

    def setUp(self) -> None:
        """Write the files that the configuration names."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        (self.directory / "secret").write_text("x" * 43 + "=\n")
        (self.directory / "cookies").write_text("0" * 32)
        (self.directory / "other.zone").write_text("www 60 A 192.0.2.1\n")

    def check(self, before: str = "", after: str = "") -> str:
        """Check the good configuration with one text in place of another; returns what is refused, or nothing."""
        good = GOOD.format(directory=self.directory)
        self.assertIn(before, good)
        try:
            file = parse_configuration(good.replace(before, after) if before else good, "dns.yaml")
            odd = check_file(as_reactor(MemoryReactorClock()), "dns.yaml", file)
            return odd.replace(f"{self.directory}/", "")
        except DnsError as error:
            return str(error).replace(f"{self.directory}/", "")

    def test_good(self) -> None:
        """All is well, and nothing was written."""
        self.assertEqual(self.check(), "")
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["cookies", "other.zone", "secret"])

    def test_what_is_odd_is_said(self) -> None:
        """A zone that is served although something in it leads nowhere passes, and the key, file and line are named."""
        (self.directory / "other.zone").write_text("sub 60 NS ns.sub\nold 60 DNAME new\nx.old 60 A 192.0.2.1\n")
        self.assertEqual(
            self.check(),
            "zones[1]: other.zone:1: ns.sub.other.example has no address (glue), so nobody can follow the delegation; "
            "zones[1]: other.zone:2: the DNAME of old.other.example hides x.old.other.example (other.zone:3): "
            "what is below it is never answered",
        )

    def test_keys_are_named_with_their_whole_path(self) -> None:
        """Each mistake is said with the key's path, what was expected and what was found."""
        for before, after, words in (
            ("127.0.0.1:5300", "ns1:53", "listen[0]: expected an IP address with or without a port, got 'ns1:53'"),
            ("127.0.0.1:5300", "127.0.0.1:99999", "listen[0]: expected a port from 0 to 65535, got '99999'"),
            ('0.1:5300"', '0.1:5300", "127.0.0.1:5300"', "listen[1]: 127.0.0.1:5300 is listen[0] already"),
            ("tcp:9153", "banana", "metrics: expected an endpoint such as tcp:9153:interface=127.0.0.1, got 'banana"),
            ("/cookies", "/none", "cookies.secrets_file: none: No such file or directory"),
            ("/cookies", "/secret", "cookies.secrets_file: secret: line 1: expected 32 hexadecimal digits"),
            ("/secret", "/none", "keys[0].secret_file: none: No such file or directory"),
            ("/secret", "/other.zone", "keys[0].secret_file: other.zone: a TSIG secret is written in base64"),
            ("name: k,", "name: k, algorithm: md5,", "keys[0].algorithm: expected one of hmac-sha1"),
            ("[192.0.2.0/24]}}}", "[x]}}}", "places.regions.europe.networks[0]: expected a network"),
            ("name: first.example", "name: a..b", "zones[0].name: 'a..b' is not a domain name"),
            ("name: other.example", "name: FIRST.example", "zones[1].name: zone FIRST.example is given twice"),
            ("[192.0.2.1]", "[ns1]", "zones[0].nameservers.ns1.first.example[0]: expected an IPv4 or IPv6 address"),
            ("    nameservers:", "    ttl: 5 #", "zones[0].nameservers: expected the name servers of first.example"),
            ("primary: ns1.first.example", "primary: a..b", "zones[1].primary: 'a..b' is not a domain name"),
            (
                "    primary:",
                "    ttl: 5 #",
                "zones[1].master_file: other.zone: no SOA record at the apex of other.example",
            ),
            ("/other.zone", "/none", "zones[1].master_file: none: No such file or directory"),
            ("networks: [192.0.2.0/24], k", "networks: [192.0.2.1/24], k", "zones[1].transfer.networks[0]: expected a"),
            ("keys: [k]", "keys: [K, q]", "zones[1].transfer.keys[1]: there is no key 'q' in keys; known: k"),
            ("198.51.100.1", "ns2.example", "zones[1].notify[0].address: expected an IP address"),
            ("100.1, key: k", "100.1, key: q", "zones[1].notify[0].key: there is no key 'q' in keys; known: k"),
            ("/serial", "/other.zone", "zones[0].serial_file: other.zone: not a serial"),
        ):
            self.assertTrue(self.check(before, after).startswith(words), self.check(before, after))

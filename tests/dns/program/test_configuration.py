"""Tests of `warp_dns.program.configuration`."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import InvalidSettings
from warp_dns.program.configuration import parse_configuration, read_configuration

GOOD = """
listen: ["192.0.2.1:53", "[2001:db8::1]:53"]
workers: 2
metrics: "tcp:9153:interface=127.0.0.1"
identity: {version: warp, id: ns1}
rate_limit: {responses_per_second: 1000, slip: 3}
keys: [{name: k, secret_file: /etc/warp/k.secret}]
places:
  regions: {europe: {coordinates: [50, 10], networks: [192.0.2.0/24]}}
  edges: {edge1: {region: europe, load: 0.5}}
zones:
  - name: warp.example
    nameservers: {ns1.warp.example: [192.0.2.1]}
    follow: /run/warp-edge-records/records.sock
    transfer: {keys: [k]}
    notify: [{address: 198.51.100.1, key: k}]
"""


class ConfigurationTests(SynchronousTestCase):
    """Reading `dns.yaml`."""

    def test_a_good_file_is_read(self) -> None:
        """Everything finds its place, and what is left out has its default."""
        file = parse_configuration(GOOD, "dns.yaml")
        self.assertEqual(file.zones[0].notify[0].key, "k")
        self.assertEqual((file.server.rate_limit.slip, file.server.udp_bytes), (3, 1232))
        self.assertEqual(file.server.places.regions["europe"].coordinates, (50.0, 10.0))

    def refused(self, text: str, problem: str) -> None:
        """Expect a refusal."""
        with self.assertRaisesRegex(InvalidSettings, problem):
            parse_configuration(text, "dns.yaml")

    def test_mistakes_are_named_by_their_path(self) -> None:
        """Unknown keys, wrong types and values out of range are refused with where they stand."""
        self.refused(GOOD.replace("    follow:", "    folow:"), r"zones\[0\].*folow")
        self.refused(GOOD.replace("slip: 3", "slip: yes"), "rate_limit.slip")
        self.refused(GOOD.replace("slip: 3", "slip: 101"), "rate_limit.slip")
        self.refused(GOOD.replace("workers: 2", "workers: 0"), "workers")
        self.refused(GOOD.replace("name: warp.example", "title: warp.example"), r"zones\[0\]")
        self.refused("listen: []\nzones: []", "listen")

    def test_yaml_is_read_strictly(self) -> None:
        """Keys given twice, aliases, tags, and what is no mapping are refused with their line."""
        self.refused("listen: [a]\nlisten: [b]", "dns.yaml: line 2: key 'listen' is given twice")
        self.refused("listen: &a [x]\nzones: *a", "aliases are not supported")
        self.refused("listen: !!python/object/apply:os.system [id]", "dns.yaml: line 1: ")
        self.refused("listen: [", "dns.yaml: line 1: ")
        self.refused("- x", "dns.yaml: ")
        self.refused("", "dns.yaml: ")
        self.refused("1: 2", "key 1 is not text")

    def test_a_file_is_named(self) -> None:
        """What cannot be read, and what is too large to be meant, is refused with its path."""
        path = Path(self.mktemp())
        with self.assertRaisesRegex(InvalidSettings, "No such file"):
            read_configuration(str(path))
        path.write_text("#" * (1 << 20) + GOOD)
        with self.assertRaisesRegex(InvalidSettings, "larger than"):
            read_configuration(str(path))
        path.write_text(GOOD)
        self.assertEqual(read_configuration(str(path)).workers, 2)

    @settings(max_examples=200, deadline=None)
    @given(st.text(alphabet="listenzo: []{}-,&*!|>'\"\n\t1", max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        """Nothing but the refusal ever comes out."""
        try:
            self.assertTrue(parse_configuration(text, "dns.yaml").listen)
        except InvalidSettings as error:
            self.assertTrue(str(error).startswith("dns.yaml: "), error)

"""Tests of edge.yaml as values."""

from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.settings import MAX_TUNNELS
from warp_twisted.configuration import parse
from warp_twisted.edge.settings import EdgeSettings, Limits, Timeouts, merge_reloaded, needs_restart
from warp_twisted.errors import InvalidSettings

MINIMAL: dict[str, Any] = {
    "zone": "warp.example",
    "edge": {"name": "edge1", "addresses": ["192.0.2.1", "2001:db8::1"]},
    "ca": {"root": "root.pem", "certificate": "edge1.pem", "key": "edge1.key"},
}


def read(**sections: Any) -> EdgeSettings:
    """Read settings with some sections changed."""
    return parse(yaml.safe_dump({**MINIMAL, **sections}), EdgeSettings, "edge.yaml")


class EdgeSettingsTests(SynchronousTestCase):
    """What is accepted, and how the rest is refused."""

    def refusal(self, **sections: Any) -> str:
        """Return the words in which settings are refused."""
        return str(self.assertRaises(InvalidSettings, read, **sections)).removeprefix("edge.yaml: ")

    def test_pings_follow_silence(self) -> None:
        """Where only the silence is set, a tunnel is asked early enough for an answer; what is set holds."""
        for stated, expected in (({}, 30.0), ({"silence": 30}, 22.5), ({"silence": 600}, 30.0), ({"ping": 39}, 39.0)):
            timeouts = msgspec.convert(stated, Timeouts)
            self.assertEqual(timeouts.ping_seconds, expected)

    def test_minimal(self) -> None:
        """Zone, edge and CA are enough; everything else has a sane default."""
        found = read()
        self.assertEqual(
            (found.listen.http, found.listen.tunnel, found.timeouts.lease, found.limits.head_bytes),
            (("tcp:80",), ("tcp:7844",), 30, 16384),
        )

    def test_forwarding(self) -> None:
        """What is stripped and set is checked, and a mistake is named with its place and what was expected."""
        self.assertEqual((read().forwarding.strip, read().forwarding.set), (("default",), ()))
        found = read(forwarding={"strip": ["default", "X-My-*", "!CF-Ray"], "set": ["x-real-ip"]}).forwarding
        self.assertEqual((found.strip, found.set), (("default", "X-My-*", "!CF-Ray"), ("x-real-ip",)))
        for forwarding, expected in (
            ({"strip": ["default", "X Y"]}, r"^forwarding.strip\[1\]: expected a field name, .*, got 'X Y'"),
            ({"proxy_protocol": ["192.0.2.0/24", "lb.example"]}, r"^forwarding.proxy_protocol\[1\]: expected a prefix"),
            ({"x_forwarded_for": ["192.0.2.0/33"]}, r"^forwarding.x_forwarded_for\[0\]: expected a length"),
            ({"x_forwarded_proto": True}, r"^forwarding.*x_forwarded_proto: nobody is believed before x_forwarded_for"),
            ({"strip": ["Host"]}, r"^forwarding.strip\[0\]: expected a field that the edge does not write itself"),
            ({"strip": ["!X-Real-IP"]}, r"^forwarding.strip\[0\]: expected an exception"),
            ({"strip": ["!CF-Connecting-IP"], "set": ["CF-Connecting-IP"]}, r"strip\[0\]: expected an exception"),
            (
                {"set": ["X-Real-IP", "X-Me"]},
                r"^forwarding.set\[1\]: expected one of .*CF-Connecting.*, got 'X-Me'",
            ),
            ({"strip": ["X-A"] * 201}, r"^forwarding.strip: expected .*200"),
        ):
            self.assertRegex(self.refusal(forwarding=forwarding), expected)

    def test_the_example_of_the_architecture(self) -> None:
        """The file that architecture.md shows is good."""
        text = """
zone: warp.example
edge: {name: edge1, addresses: [192.0.2.1, "2001:db8::1"]}
listen:
  http: ["tcp:80"]
  https: ["tcp:443"]
  tunnel: ["tcp:7844"]
  dns: ["192.0.2.1:53"]
  admin: /run/warp-edge/admin.sock
  metrics: null
state: /var/lib/warp-edge
ca: {root: /etc/warp/ca/root.pem, certificate: /etc/warp/ca/edge1.pem, key: /etc/warp/ca/edge1.key}
certificates: /etc/warp/certificates
limits: {head_bytes: 16384, header_count: 100, connections: 20000, connections_per_address: 1000}
timeouts: {header: 10, idle: 75, origin_connect: 10, origin_response: 60, drain: 30}
log: {format: json, access: "-"}
"""
        self.assertEqual(parse(text, EdgeSettings, "edge.yaml").listen.dns, ("192.0.2.1:53",))

    def test_listeners_switched_off(self) -> None:
        """An empty list and null both switch a listener off."""
        found = read(listen={"http": [], "https": None, "admin": None})
        self.assertFalse(found.listen.http or found.listen.https or found.listen.admin)

    def test_refusals(self) -> None:
        """Each refusal names the key's path and what was expected."""
        for sections, words in (
            ({"zone": "Warp.Example"}, "zone: expected 'warp.example', got 'Warp.Example'"),
            (
                {"edge": {"name": "Edge_1", "addresses": ["192.0.2.1"]}},
                "edge.name: expected one DNS label of lower-case letters, digits and inner hyphens, got 'Edge_1'",
            ),
            ({"zone": "a..b"}, "zone: 'a..b' is not a hostname: there is nothing between two dots"),
            ({"edge": {"name": "edge1", "addresses": []}}, "edge.addresses: expected a list of 1 to 16 texts, got []"),
            (
                {"edge": {"name": "edge1", "addresses": ["192.0.2.256"]}},
                "edge.addresses[0]: expected an IPv4 or IPv6 address, got '192.0.2.256'",
            ),
            ({"limits": {"head_bytes": 12}}, "limits.head_bytes: expected a whole number from 1024 to 1048576, got 12"),
            ({"limits": {"tunnel": 1}}, "limits.tunnel: unknown key; did you mean tunnels?"),
            ({"timeouts": {"lease": 1}}, "timeouts.lease: expected a number from 3 to 3600, got 1"),
            (
                {"timeouts": {"ping": 40}},
                "timeouts.silence: expected more than ping, which is 40 s, got 40",
            ),
            (
                {"timeouts": {"idle": "75s"}},
                "timeouts.idle: expected a number above 0, at most 86400, got '75s'; write 75",
            ),
            (
                {"listen": {"http": "tcp:80"}},
                "listen.http: expected a list of texts or null, got 'tcp:80'; write ['tcp:80']",
            ),
            ({"log": {"format": "xml"}}, "log.format: expected 'json' or 'text', got 'xml'"),
            (
                {"dns": {"nameservers": [{"name": "ns1", "addresses": ["x"]}]}},
                "dns.nameservers[0].addresses[0]: expected an IPv4 or IPv6 address, got 'x'",
            ),
            ({"dns": {"cookies": {"enabeld": True}}}, "dns.cookies.enabeld: unknown key; did you mean enabled?"),
            ({"dns": {"udp_bytes": 12}}, "dns.udp_bytes: expected a whole number from 512 to 4096, got 12"),
            (
                {"edge": {"name": "edge1", "addresses": ["192.0.2.1"], "region": "mars"}},
                "edge.region: no region 'mars' in dns.places.regions; known: none",
            ),
            (
                {"edge": {"name": "edge1", "addresses": ["192.0.2.1"], "region": "x", "coordinates": [1, 2]}},
                "edge.coordinates: not beside region, which has its own",
            ),
            (
                {"edge": {"name": "edge1", "addresses": ["192.0.2.1"], "coordinates": [91, 2]}},
                "edge.coordinates[0]: expected a number from -90 to 90, got 91",
            ),
            ({"nonsense": 1}, "nonsense: unknown key; expected one of "),
        ):
            self.assertIn(words, self.refusal(**sections))

    def test_agents_find_room_for_their_tunnels(self) -> None:
        """Whatever `tunnels` an agent.yaml may hold, an edge takes them, also while all of them move."""
        self.assertGreaterEqual(Limits().tunnels_per_agent, 2 * MAX_TUNNELS)

    def test_what_needs_a_restart(self) -> None:
        """A reload tells which sections it cannot apply, and keeps those as they run."""
        running = read()
        wanted = read(zone="other.example", limits={"tunnels": 5}, listen={"http": []})
        self.assertEqual(needs_restart(running, wanted), ["zone", "listen"])
        merged = merge_reloaded(running, wanted)
        self.assertEqual((merged.zone, merged.listen, merged.limits.tunnels), (running.zone, running.listen, 5))
        self.assertEqual(needs_restart(running, running), [])

    def test_what_of_dns_needs_a_restart(self) -> None:
        """Who may transfer, who is told, the zone's file and the negative TTL do not; each other key is named."""
        running = read()
        now = {"transfer": {"networks": ["192.0.2.0/24"]}, "notify": [{"address": "192.0.2.7"}], "negative_ttl": 3}
        later = {"identity": {"id": "ns1"}, "ttl": 7}
        wanted = read(dns={**now, **later, "master_file": "x.zone"})
        self.assertEqual(needs_restart(running, wanted), ["dns.identity", "dns.ttl"])
        merged = merge_reloaded(running, wanted)
        self.assertEqual(merged.dns, read(dns={**now, "master_file": "x.zone"}).dns)

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(
        st.sampled_from(list(EdgeSettings.__struct_fields__)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["name", "addresses", "http", "tunnels", "idle", "x"]), inner, max_size=3
                )
            ),
            max_leaves=6,
        ),
    )
    def test_any_value_anywhere(self, section: str, value: object) -> None:
        """Any value in place of any section is taken or refused in words, never by another exception."""
        try:
            found = read(**{section: value})
        except InvalidSettings as error:
            self.assertTrue(str(error).startswith("edge.yaml: "))
        else:
            msgspec.json.encode(found)

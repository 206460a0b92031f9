"""Tests for warp_twisted.acme.door."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.door import Challenge, DnsChallenge, HttpChallenge, Order, View


class ShapeTests(SynchronousTestCase):
    """What goes through the door."""

    def test_challenges(self) -> None:
        """A challenge is told by its kind, and its lease is bounded."""
        decoder = msgspec.json.Decoder(Challenge)
        name = "_acme-challenge.warp.example"
        self.assertEqual(
            decoder.decode(b'{"kind": "dns-01", "name": "%s", "value": "v", "lease_seconds": 300}' % name.encode()),
            DnsChallenge(name=name, value="v", lease_seconds=300),
        )
        http = HttpChallenge(hostname="shop.customer.example", token="t", key_authorization="t.k")
        self.assertEqual(decoder.decode(msgspec.json.encode(http)), http)
        for wrong in (b'"lease_seconds": 0', b'"lease_seconds": 3601', b'"other": 1', b'"value": "%s"' % (b"v" * 256)):
            with self.assertRaises(msgspec.ValidationError):
                decoder.decode(b'{"kind": "dns-01", "name": "n", "value": "v", %s}' % wrong)

    def test_order_of_before(self) -> None:
        """An order that lacks what a later release added is read; a key that is not known is refused."""
        order = msgspec.json.decode(b'{"name": "a.example", "names": ["a.example"]}', type=Order)
        self.assertEqual((order.step, order.failures, order.postponed), ("begun", 0, {}))
        with self.assertRaises(msgspec.ValidationError):
            msgspec.json.decode(b'{"name": "a.example", "names": ["a.example"], "later": 1}', type=Order)

    def test_view(self) -> None:
        """A list of names without a name is refused where the edge says what is wanted."""
        text = (
            '{"edge": "e1", "zone": "z", "nameservers": [], "wanted": [%s], "settings": {"directory": "letsencrypt"}}'
        )
        self.assertEqual(msgspec.json.decode(text % '["z", "*.z"]', type=View).wanted, (("z", "*.z"),))
        with self.assertRaises(msgspec.ValidationError):
            msgspec.json.decode(text % "[]", type=View)

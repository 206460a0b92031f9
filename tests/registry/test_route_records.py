"""Tests of what the registry keeps for split hostnames; tests.registry.test_model writes and reads them."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.errors import BadValue
from warp_twisted.registry.model import decode
from warp_twisted.registry.route_records import Guarded, RouteKey, Shift


class RouteRecordsTests(SynchronousTestCase):
    """`RouteKey`, `Shift` and `Guarded`."""

    def test_keys(self) -> None:
        """Each has its place; a pattern keeps its star."""
        self.assertEqual(RouteKey(number=7, secret="ab" * 32).key, "warp/route-keys/007")
        shift = Shift(hostname="*.a.example", split="s", selector="a", start=0, target=1)
        self.assertEqual(shift.key, "warp/shifts/*.a.example")
        guarded = Guarded(hostname="*.a.example", split="s", selector="a")
        self.assertEqual(guarded.key, "warp/guarded/*.a.example")

    def test_secret(self) -> None:
        """What a log would show of a key is its number."""
        self.assertEqual(repr(RouteKey(number=7, secret="ab" * 32)), "RouteKey(number=7)")

    def test_wrong(self) -> None:
        """A key that signs nothing and a part that is none are refused, not used."""
        for key, text in (
            ("warp/route-keys/007", b'{"number": 7, "secret": "ab"}'),
            ("warp/route-keys/256", b'{"number": 256, "secret": "%s"}' % (b"ab" * 32)),
            ("warp/shifts/a", b'{"hostname": "a", "split": "s", "selector": "", "start": 0, "target": 10001}'),
            ("warp/guarded/a", b'{"hostname": "a", "split": "s", "selector": "", "action": "forward"}'),
        ):
            self.assertRaises(BadValue, decode, key, text)

"""Tests for `warp_twisted.registry.etcd.endpoints`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.etcd.endpoints import Endpoints

ONE, TWO, THREE = "https://one:2379", "https://two:2379", "https://three:2379"


class EndpointsTests(SynchronousTestCase):
    """`Endpoints`."""

    def test_order(self) -> None:
        """A member that failed is asked again after all others."""
        endpoints = Endpoints([ONE, TWO, THREE])
        asked = []
        for _ in range(4):
            asked.append(endpoints.current)
            endpoints.failed(endpoints.current)
        self.assertEqual(asked, [ONE, TWO, THREE, ONE])

    def test_late_news(self) -> None:
        """That a member failed which is not asked any more leaves the one that is."""
        endpoints = Endpoints([ONE, TWO])
        endpoints.failed(ONE)
        endpoints.failed(ONE)
        self.assertEqual(endpoints.current, TWO)

    def test_none(self) -> None:
        """There is at least one."""
        with self.assertRaises(ValueError):
            Endpoints([])

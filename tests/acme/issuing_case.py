"""The base of tests that order from a fake directory: a door, a directory, and the work between them."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_directory_server import FakeDirectoryServer
from tests.acme.fake_door import SEALING_KEY, FakeDoor
from tests.clocks import SettableWallClock
from warp_twisted.acme.authority import Authority
from warp_twisted.acme.door import DnsChallenge, NameServer, Order
from warp_twisted.acme.issuing import Issuing, Tools
from warp_twisted.acme.proving import Proving
from warp_twisted.acme.sealing import open_sealed


class IssuingCase(SynchronousTestCase):
    """
    :ivar wall: the clock that instants are told by; pauses set it forward.
    :ivar pauses: those that were made, in seconds.
    """

    wanted: Sequence[tuple[str, ...]] = [("warp.example", "*.warp.example")]

    def setUp(self) -> None:
        self.server = FakeDirectoryServer(self, lambda *proof: self.door.validates(*proof))
        self.directory = self.server.directory
        self.door = FakeDoor(self.server.url, str(self.server.root), self.wanted)
        self.wall = SettableWallClock(time.time())
        self.pauses: list[float] = []
        self.asked_visible: list[list[DnsChallenge]] = []
        self.visible: Callable[[], None] = lambda: None

    def issuing(self) -> Issuing:
        """Return the work, as a process that has just been started does it."""
        tools = Tools(
            door=self.door,
            proving=Proving(self.door, self._await_visible, self._pause),
            open_sealed=partial(open_sealed, SEALING_KEY),
            connect=self._connect,
            wall=self.wall,
            pause=self._pause,
            draw=lambda: 0.5,
        )
        return Issuing(tools)

    @property
    def order(self) -> Order:
        """The record of the first certificate that is wanted."""
        return self.door.orders[self.wanted[0][0]]

    def later(self, seconds: float) -> None:
        """Set the clock forward."""
        self.wall.set(self.wall.now() + seconds)

    def _connect(self, url: str, root: str, key: ec.EllipticCurvePrivateKey, account: str) -> Authority:
        return Authority(url, root, key, account)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.later(seconds)

    def _await_visible(
        self, challenges: Sequence[DnsChallenge], servers: Sequence[NameServer], pause: Callable[[float], None]
    ) -> None:
        self.asked_visible.append(list(challenges))
        self.visible()

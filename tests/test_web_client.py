"""Tests of what other web servers are asked with; `tests.edge.policy.test_fetched_keys` asks a real one."""

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss

from warp_twisted.web_client import BoundedBody, cause_of


class CauseTests(SynchronousTestCase):
    """`cause_of`."""

    def test_cause(self) -> None:
        """What lies behind a failed answer is said, however deep, and by its kind if it has no words."""
        inner = ResponseNeverReceived([Failure(ValueError("refused"))])
        for error, expected in (
            (ValueError("refused"), "refused"),
            (ResponseFailed([Failure(inner)]), "refused"),
            (ResponseFailed([Failure(ValueError())]), "ValueError"),
            (ConnectionLost(), str(ConnectionLost())),
        ):
            self.assertEqual(cause_of(error), expected)


class Refused(Exception):
    """What the asker of these tests raises."""


class BoundedBodyTests(SynchronousTestCase):
    """`BoundedBody`."""

    def setUp(self) -> None:
        """Take a body of at most four bytes."""
        self.transport = StringTransport()
        self.body = BoundedBody(4, Refused)
        self.body.makeConnection(self.transport)

    def end(self, reason: Exception) -> None:
        """Close the connection."""
        self.body.connectionLost(Failure(reason))

    def test_whole(self) -> None:
        """Pieces are put together, with a length said or not."""
        for reason in (ResponseDone(), PotentialDataLoss()):
            self.setUp()
            self.body.dataReceived(b"ab")
            self.body.dataReceived(b"cd")
            self.assertNoResult(self.body.done)
            self.end(reason)
            self.assertEqual(self.successResultOf(self.body.done), b"abcd")
            self.assertFalse(self.transport.disconnecting)

    def test_too_long(self) -> None:
        """A byte too much closes the connection, and nothing that comes later counts."""
        self.body.dataReceived(b"abc")
        self.body.dataReceived(b"de")
        self.assertTrue(self.transport.disconnecting)
        self.body.dataReceived(b"f")
        self.end(ResponseDone())
        self.assertEqual(str(self.failureResultOf(self.body.done, Refused).value), "the answer is longer than 4 bytes")

    def test_cut(self) -> None:
        """A body that ends too early fails with the reason."""
        self.body.dataReceived(b"abc")
        self.end(ConnectionLost())
        self.assertEqual(str(self.failureResultOf(self.body.done, Refused).value), str(ConnectionLost()))

    def test_cancelled(self) -> None:
        """Who does not want it any more closes the connection."""
        self.body.done.cancel()
        self.assertTrue(self.transport.disconnecting)
        self.failureResultOf(self.body.done, CancelledError)
        self.end(ConnectionLost())

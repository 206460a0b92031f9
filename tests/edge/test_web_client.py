"""Tests of what the edge asks other web servers with; `tests.edge.policy.test_fetched_keys` asks a real one."""

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from warp_twisted.edge.web_client import cause_of


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

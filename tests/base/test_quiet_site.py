"""Tests of `warp_base.quiet_site`."""

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from warp_base.quiet_site import QuietSite


class _Broken(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        raise ValueError("a secret")


class QuietSiteTests(SynchronousTestCase):
    """One site."""

    def ask(self, resource: Resource) -> bytes:
        """Return the answer to one request."""
        site = QuietSite(resource)
        site.doStart()
        self.addCleanup(site.doStop)
        channel = site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"GET /x HTTP/1.0\r\n\r\n")
        answer: bytes = transport.value()
        return answer

    def test_no_access_log(self) -> None:
        """A request that is answered is not written anywhere."""
        written: list[object] = []
        self.patch(QuietSite, "logFile", written)
        self.assertTrue(self.ask(Resource()).startswith(b"HTTP/1.0 404 "))
        self.assertEqual(written, [])

    def test_no_traceback_in_answers(self) -> None:
        """A resource that fails is answered with 500 and says nothing of why; the log does."""
        answer = self.ask(_Broken())
        self.assertTrue(answer.startswith(b"HTTP/1.0 500 "), answer)
        self.assertNotIn(b"secret", answer)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

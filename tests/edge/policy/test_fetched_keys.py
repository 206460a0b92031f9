"""Tests for `warp_twisted.edge.policy.fetched_keys`; a real https server has the keys."""

import json

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.ssl import PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.case import AsyncTestCase, reactor, until
from tests.policy.authentication.keys import EC_KEY, EXPECTED, member, signed
from tests.policy.authentication.requests import WALL, request
from tests.self_signed import self_signed
from warp_twisted.edge.policy import fetched_keys as module
from warp_twisted.edge.policy.fetched_keys import FETCH_SECONDS, MIN_SECONDS, WANTED_SECONDS, FetchedKeys
from warp_twisted.policy.authentication.jwt import JwtCheck
from warp_twisted.policy.authentication.key_sets import MAX_TEXT
from warp_twisted.policy.interfaces import Outcome
from warp_twisted.web_client import make_agent

NEW_KEY = ec.generate_private_key(ec.SECP256R1())


class Keys(Resource):
    """A key set that changes."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.content = json.dumps({"keys": [member(EC_KEY, "e")]}).encode()
        self.status = 200
        self.asked = 0
        self.is_silent = False

    def render_GET(self, request: Request) -> bytes | int:
        """Answer, or do not."""
        self.asked += 1
        if self.is_silent:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        request.setHeader(b"cache-control", b"public, max-age=600")
        return self.content


class FetchedKeysTests(AsyncTestCase):
    """`FetchedKeys`."""

    timeout = 20

    async def prepare(self) -> None:
        _, pem, key_pem = self_signed("login", ["localhost"])
        certificate = PrivateCertificate.loadPEM(key_pem + pem)
        self.keys = Keys()
        endpoint = SSL4ServerEndpoint(reactor, 0, certificate.options(), interface="127.0.0.1")
        listener = await endpoint.listen(Site(self.keys))
        self.addCleanup(listener.stopListening)
        self.url = f"https://localhost:{listener.getHost().port}/keys"
        trust = BrowserLikePolicyForHTTPS(trustRoot=trustRootFromCertificates([certificate]))
        self.clock = Clock()
        self.fetched = FetchedKeys(lambda: make_agent(reactor, trust), self.clock, execute)
        self.check = self.follow()
        self.fetched.start()
        self.addCleanup(self.fetched.stop)

    def follow(self) -> JwtCheck:
        """Follow the keys for another check."""
        check = JwtCheck(EXPECTED)
        self.fetched.follow([(self.url, check)])
        return check

    def look(self, token: str) -> Outcome:
        """Say what a token proves."""
        answer = self.check.look(request(f"Authorization: Bearer {token}"), self.clock.seconds(), WALL)
        return answer.outcome

    async def fetched_anew(self) -> None:
        """Wait until nothing is being fetched."""
        await until(lambda: all(each.fetching is None for each in self.fetched._followed.values()))

    async def test_rotation(self) -> None:
        """A token with a new key has the set fetched and is busy meanwhile; an old set is fetched anew as well."""
        self.assertIs(self.look(signed()), Outcome.BUSY)
        await self.fetched_anew()
        self.assertIs(self.look(signed()), Outcome.PROVEN)
        self.keys.content = json.dumps({"keys": [member(EC_KEY, "e"), member(NEW_KEY, "n")]}).encode()
        new = signed(NEW_KEY, key_id="n")
        for _ in range(2):
            self.assertIs(self.look(new), Outcome.BUSY)
        await self.fetched_anew()
        self.assertIs(self.look(new), Outcome.PROVEN)
        self.assertIs(self.look(signed()), Outcome.PROVEN)
        self.keys.content = json.dumps({"keys": [member(NEW_KEY, "n")]}).encode()
        self.clock.advance(599)
        self.assertEqual(self.keys.asked, 2)
        self.clock.advance(1)
        await self.fetched_anew()
        self.assertEqual((self.look(signed()), self.look(new)), (Outcome.BUSY, Outcome.PROVEN))
        await self.fetched_anew()
        self.assertEqual((self.look(signed()), self.look(new)), (Outcome.REFUSED, Outcome.PROVEN))

    async def test_rotation_after_made_up_keys(self) -> None:
        """
        Names of keys that strangers make up keep no new key from being found, and nobody is blamed for one.

        A key is refused only when it was looked for in a set that was fetched after it was first named.
        """
        await self.fetched_anew()
        made_up = [signed(NEW_KEY, key_id=f"made-up-{number}") for number in range(5)]
        self.assertIs(self.look(made_up[0]), Outcome.BUSY)
        await self.fetched_anew()
        for _ in range(3):
            self.assertIs(self.look(made_up[0]), Outcome.REFUSED)
        self.keys.content = json.dumps({"keys": [member(EC_KEY, "e"), member(NEW_KEY, "n")]}).encode()
        new = signed(NEW_KEY, key_id="n")
        self.assertIs(self.look(new), Outcome.BUSY)
        await self.fetched_anew()
        self.assertEqual((self.look(new), self.keys.asked), (Outcome.PROVEN, 3))
        self.assertEqual([self.look(token) for token in made_up[1:]], [Outcome.BUSY] * 4)
        self.assertEqual(self.keys.asked, 3)
        self.clock.advance(WANTED_SECONDS)
        self.assertEqual([self.look(token) for token in made_up], [Outcome.BUSY] * 5)
        await self.fetched_anew()
        self.assertEqual([self.look(token) for token in made_up], [Outcome.REFUSED] * 5)
        self.assertEqual((self.look(new), self.keys.asked), (Outcome.PROVEN, 4))

    async def test_key_of_a_server_that_is_away(self) -> None:
        """While the set cannot be fetched nobody can say whether a key is in it."""
        await self.fetched_anew()
        self.keys.status = 500
        for _ in range(4):
            self.assertIs(self.look(signed(NEW_KEY, key_id="n")), Outcome.BUSY)
            await self.fetched_anew()
        self.assertLessEqual(self.keys.asked, 3)

    async def test_many_made_up_keys(self) -> None:
        """What is remembered of them is bounded."""
        self.patch(module, "MAX_WANTED", 3)
        await self.fetched_anew()
        for _ in range(3):
            for number in range(10):
                self.look(signed(NEW_KEY, key_id=f"made-up-{number}"))
            await self.fetched_anew()
            self.clock.advance(WANTED_SECONDS)
        followed = self.fetched._followed[self.url]
        self.assertLessEqual(len(followed.wanted) + len(followed.missing), 6)

    async def test_what_cannot_be_used(self) -> None:
        """Errors, sets that are none or too long, and silence leave the last good keys; then it goes on by itself."""
        await self.fetched_anew()
        good = self.keys.content
        for status, content in ((500, good), (302, good), (200, b"{}"), (200, b"\xff"), (200, b" " * (MAX_TEXT + 1))):
            self.keys.status, self.keys.content = status, content
            asked = self.keys.asked
            self.clock.advance(600)
            await until(lambda asked=asked: self.keys.asked == asked + 1)  # type: ignore[misc]
            await self.fetched_anew()
            self.assertIs(self.look(signed()), Outcome.PROVEN)
            self.assertTrue(self.fetched._followed[self.url].has_failed)
        self.keys.is_silent = True
        asked = self.keys.asked
        self.clock.advance(MIN_SECONDS)
        await until(lambda: self.keys.asked == asked + 1)
        self.clock.advance(FETCH_SECONDS)
        await self.fetched_anew()
        self.keys.is_silent, self.keys.status, self.keys.content = False, 200, good
        self.clock.advance(MIN_SECONDS)
        await self.fetched_anew()
        self.assertFalse(self.fetched._followed[self.url].has_failed)

    async def test_kept_over_a_reload(self) -> None:
        """Another check of the same URL has the keys at once; what is followed no more is not fetched."""
        await self.fetched_anew()
        self.check = self.follow()
        self.assertIs(self.look(signed()), Outcome.PROVEN)
        self.assertEqual(self.keys.asked, 1)
        self.fetched.follow([])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_a_certificate_that_is_not_believed(self) -> None:
        """Keys of a server that does not prove its name are not used, and fetched again in a while."""
        fetched = FetchedKeys(lambda: make_agent(reactor), self.clock, execute)
        self.check = JwtCheck(EXPECTED)
        fetched.follow([(self.url, self.check)])
        fetched.start()
        self.addCleanup(fetched.stop)
        await until(lambda: fetched._followed[self.url].has_failed)
        self.assertIs(self.look(signed()), Outcome.BUSY)
        self.assertIsNotNone(fetched._followed[self.url].next)

    async def test_stopped_while_it_fetches(self) -> None:
        """Nothing is left of a fetch that is stopped."""
        await self.fetched_anew()
        self.keys.is_silent = True
        self.clock.advance(600)
        await until(lambda: self.keys.asked == 2)
        self.fetched.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        done: Deferred[None] = Deferred()
        reactor.callLater(0, done.callback, None)
        await done

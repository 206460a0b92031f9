"""
Key sets of issuers, fetched over https and kept true: `jwks_url` of the policy.

One fetch at a time for each URL, however many rules name it. What cannot be fetched changes nothing: the last good keys
stay. A set is fetched anew when it is old, and when a token names a key that is not in it, as issuers do who rotate
theirs; strangers who make up names of keys cause two fetches, then one in 30 s. A key is said to be unknown only once
it was looked for in a set that was fetched after it was named first: until then nobody is blamed for it.
"""

import re
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from warp_base.reactor import InThread
from warp_base.token_buckets import TokenBuckets
from warp_twisted.policy.authentication.jwt import JwtCheck
from warp_twisted.policy.authentication.key_sets import MAX_TEXT, KeySetError, VerificationKeys, read_key_set
from warp_twisted.web_client import BoundedBody, cause_of

FETCH_SECONDS = 10.0
MIN_SECONDS, USUAL_SECONDS, MAX_SECONDS = 300.0, 3_600.0, 86_400.0  # between fetches
WANTED_SECONDS = 30.0  # between fetches because of a key that is not known, or after one that failed
WANTED_BURST = 2.0  # such fetches at once, so that a name that somebody made up keeps no rotation waiting
MAX_WANTED = 1_000  # names of keys that are remembered, of one set
_max_age = re.compile(rb"(?i)(?:^|[,\s])max-age=\"?(\d{1,9})").search
FollowedKeys = Sequence[tuple[str, JwtCheck]]


class FetchError(Exception):
    """A key set could not be fetched; the text says why."""


class _Followed:
    """
    One URL.

    :ivar wanted: keys that tokens have named, and that are looked for in the set that comes next.
    :ivar missing: keys that were not in a set that was fetched after they were named.
    """

    def __init__(self) -> None:
        self.checks: list[JwtCheck] = []
        self.keys: VerificationKeys | None = None
        self.fetching: Deferred[None] | None = None
        self.next: IDelayedCall | None = None
        self.tried_at = float("-inf")
        self.has_failed = False
        self.wanted: set[str] = set()
        self.missing: set[str] = set()

    def was_fetched(self, keys: VerificationKeys) -> None:
        """Use another set."""
        self.has_failed = False
        self.keys = keys
        if len(self.missing) + len(self.wanted) > MAX_WANTED:
            self.missing.clear()
        self.missing |= self.wanted
        self.wanted.clear()
        for check in self.checks:
            check.use(keys)


class FetchedKeys:
    """
    Follows the key sets that the policy in force names.

    :param make_agent: makes what asks https servers whose certificates it believes; called when it is needed.
    :param in_thread: reads a key set: a hundred RSA keys take 10 ms.
    """

    _log = Logger()

    def __init__(self, make_agent: Callable[[], IAgent], clock: IReactorTime, in_thread: InThread) -> None:
        self._make_agent = make_agent
        self._agent: IAgent | None = None
        self._clock = clock
        self._in_thread = in_thread
        self._followed: dict[str, _Followed] = {}
        self._fetches = TokenBuckets(1.0 / WANTED_SECONDS, WANTED_BURST)
        self._is_running = False

    def follow(self, wanted: FollowedKeys) -> None:
        """Keep these checks' keys true, and no others; what is known of a URL already is used at once."""
        before, self._followed = self._followed, {}
        for url, check in wanted:
            followed = self._followed.get(url)
            if followed is None:
                followed = self._followed[url] = before.pop(url) if url in before else _Followed()
                followed.checks = []
            followed.checks.append(check)
            check.renew_keys = self._wanting(url)
            if followed.keys is not None:
                check.use(followed.keys)
        for gone in before.values():
            _end(gone)
        self._begin()

    def start(self) -> None:
        """Fetch what is named, and go on."""
        self._is_running = True
        self._begin()

    def stop(self) -> None:
        """Fetch no more."""
        self._is_running = False
        for followed in self._followed.values():
            _end(followed)

    def _begin(self) -> None:
        if self._is_running:
            for url, followed in self._followed.items():
                if followed.next is None and followed.fetching is None:
                    self._fetch(url, followed)

    def _wanting(self, url: str) -> Callable[[str], bool]:
        def want(key_id: str) -> bool:
            followed = self._followed.get(url)
            return followed is not None and self._want(url, followed, key_id)

        return want

    def _want(self, url: str, followed: _Followed, key_id: str) -> bool:
        """Look for a key, if that may be done now; say whether it may be in the set."""
        now = self._clock.seconds()
        if followed.fetching is None:
            is_recent = now - followed.tried_at < WANTED_SECONDS
            if followed.keys is None or key_id in followed.missing:
                if is_recent:
                    return followed.keys is None
            elif self._fetches.take(url, now):
                return True
            self._fetch(url, followed)
        if len(followed.wanted) < MAX_WANTED:
            followed.wanted.add(key_id)
        return True

    def _fetch(self, url: str, followed: _Followed) -> None:
        if not self._is_running or followed.fetching is not None:
            return
        if followed.next is not None and followed.next.active():
            followed.next.cancel()
        followed.next = None
        followed.tried_at = self._clock.seconds()
        fetching = followed.fetching = Deferred.fromCoroutine(self._renew(url, followed))
        fetching.addErrback(lambda failure: self._log.failure("a key set could not be looked at", failure))
        if fetching.called:
            followed.fetching = None

    async def _renew(self, url: str, followed: _Followed) -> None:
        try:
            asked = Deferred.fromCoroutine(self._ask(url))
            asked.addTimeout(FETCH_SECONDS, self._clock)
            text, seconds = await asked
            keys = await self._in_thread(lambda: read_key_set(text))
        except CancelledError:
            followed.fetching = None
            return
        except Exception as error:
            seconds = MIN_SECONDS if followed.keys is not None else WANTED_SECONDS
            if not followed.has_failed:
                self._log.error(
                    "keys cannot be fetched, those of before stay in use: {url}: {error}",
                    url=url, error=str(error) if isinstance(error, FetchError | KeySetError) else cause_of(error),
                )  # fmt: skip
            followed.has_failed = True
        else:
            followed.was_fetched(keys)
        followed.fetching = None
        if self._is_running and self._followed.get(url) is followed:
            followed.next = self._clock.callLater(seconds, self._fetch, url, followed)

    async def _ask(self, url: str) -> tuple[str, float]:
        """Return the key set's text, and after how many seconds it is to be fetched again."""
        headers = Headers({b"Accept": [b"application/jwk-set+json, application/json"], b"User-Agent": [b"warp-edge"]})
        agent = self._agent
        if agent is None:
            agent = self._agent = self._make_agent()
        response: IResponse = await agent.request(b"GET", url.encode("ascii"), headers)
        body = BoundedBody(MAX_TEXT, FetchError)
        response.deliverBody(body)
        content = await body.done
        if response.code != 200:
            raise FetchError(f"the answer is {response.code}, expected 200")
        said = _max_age(b",".join(response.headers.getRawHeaders(b"cache-control", [])))
        seconds = float(said[1]) if said is not None else USUAL_SECONDS
        try:
            return content.decode(), min(max(seconds, MIN_SECONDS), MAX_SECONDS)
        except UnicodeDecodeError as error:
            raise FetchError("the key set is not UTF-8") from error


def _end(followed: _Followed) -> None:
    if followed.next is not None and followed.next.active():
        followed.next.cancel()
    followed.next = None
    if followed.fetching is not None:
        followed.fetching.cancel()

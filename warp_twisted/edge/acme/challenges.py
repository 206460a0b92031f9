"""
The challenges that this edge was asked to publish, each under a lease, and those of the whole fleet as visitors ask.

A challenge is needed for a minute, by whoever orders a certificate at this moment. So it is live state: it is told to
all other edges over their links, published by all of them at once, and gone with this edge, or with its lease. No
registry has to be there for it, and no crash leaves anything. An edge that hands over to another process does not
hand challenges over: who orders asks again.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_twisted.edge.errors import EdgeError
from warp_twisted.registry.acme.challenges import MAX_AT_NAME, MAX_CHALLENGES, Challenge, EdgeChallenges
from warp_twisted.registry.claims import Claim, Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change

PATH = b"/.well-known/acme-challenge/"  # RFC 8555 §8.3
HttpAnswers = dict[tuple[str, bytes], bytes]


class Challenges:
    """
    The challenges of one edge.

    :param edge: its name.
    :param claims: keep what it tells of itself.
    :param mirror: heard from now on; it should not have been started yet.
    :param published: returns what fires when all that the mirror knows is published here.
    :ivar http_answers: for http-01, of the whole fleet: hostname and path → the body of the answer.
    """

    def __init__(
        self,
        edge: str,
        claims: Claims,
        mirror: Mirror,
        clock: IReactorTime,
        published: Callable[[], Awaitable[object]],
    ) -> None:
        self._edge = edge
        self._claims = claims
        self._mirror = mirror
        self._clock = clock
        self._published = published
        self._ends: dict[Challenge, float] = {}  # → when its lease does, by the clock
        self._claim: Claim | None = None
        self._call: IDelayedCall | None = None
        self.http_answers: HttpAnswers = {}
        mirror.subscribe(self._registry_changed)

    async def add(self, challenge: Challenge, lease_seconds: float) -> None:
        """
        Publish a challenge, or give it another lease; returns when this edge answers it.

        :param lease_seconds: more than 0.
        :raises EdgeError: if there are too many; nothing has changed then.
        """
        self.check_room([challenge])
        self._ends[challenge] = self._clock.seconds() + lease_seconds
        await self._tell()

    def check_room(self, challenges: Iterable[Challenge]) -> None:
        """
        See whether there is room for some challenges together.

        :raises EdgeError: if there is none.
        """
        together = {*self._ends, *challenges}
        if len(together) > max(MAX_CHALLENGES, len(self._ends)):
            raise EdgeError(f"{MAX_CHALLENGES} challenges are published, which is most; remove some, or wait")
        for name in {challenge.name for challenge in together - self._ends.keys()}:
            if sum(each.name == name for each in together) > MAX_AT_NAME:
                raise EdgeError(f"{MAX_AT_NAME} challenges are published at {name}, which is most")

    async def remove(self, challenge: Challenge) -> bool:
        """Publish a challenge no more; return whether this edge was asked to."""
        if self._ends.pop(challenge, None) is None:
            return False
        await self._tell()
        return True

    async def remove_name(self, name: str) -> bool:
        """Publish no challenge of kind dns-01 at a name any more; return whether this edge was asked to."""
        found = [each for each in self._ends if each.name == name and each.kind == "dns-01"]
        for challenge in found:
            del self._ends[challenge]
        if found:
            await self._tell()
        return bool(found)

    def listed(self) -> Iterator[tuple[str, Challenge]]:
        """Yield every challenge of the fleet, with the edge that was asked for it."""
        for edge in sorted(self._mirror.challenges):
            told = self._mirror.challenges.get(edge)
            for challenge in told.challenges if told is not None else ():
                yield edge, challenge

    def stop(self) -> None:
        """Time no lease any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def _tell(self) -> None:
        told = EdgeChallenges(edge=self._edge, challenges=tuple(self._ends))
        if self._claim is None:
            self._claim, settled = self._claims.put(told)
        else:
            settled = self._claim.keep_to(told)
        self._wait()
        await settled
        await self._published()

    def _wait(self) -> None:
        self.stop()
        if self._ends:
            seconds = min(self._ends.values()) - self._clock.seconds()
            self._call = self._clock.callLater(max(0.0, seconds), self._end_due)

    def _end_due(self) -> None:
        self._call = None
        now = self._clock.seconds()
        self._ends = {challenge: at for challenge, at in self._ends.items() if at > now}
        if self._claim is not None:
            self._claim.keep_to(EdgeChallenges(edge=self._edge, challenges=tuple(self._ends)))
        self._wait()

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.after or change.before, EdgeChallenges) for change in changes):
            self.http_answers.clear()
            for _, challenge in self.listed():
                if challenge.kind == "http-01":
                    target = PATH + challenge.token.encode("ascii")
                    self.http_answers[challenge.name, target] = challenge.value.encode("ascii")

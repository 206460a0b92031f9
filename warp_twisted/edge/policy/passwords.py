"""
Passwords, hashed in threads of their own: an argon2id hash takes a tenth of a second and more, on purpose.

Few threads, a bounded queue, and of that a bounded share for each network: who guesses passwords waits for itself.
What finds no room is answered that it cannot be checked at the moment.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from warp_base.reactor import Reactor
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.interfaces import Answer, Outcome, Question

THREADS = 2
MAX_WAITING = 64
MAX_WAITING_OF_NETWORK = 8
TOLD_AT_ONCE = 8  # of those who asked the same; each goes on with its request, which takes some 0.2 ms
K = TypeVar("K", bound=Hashable)
_BUSY = Answer(Outcome.BUSY, reason="too many passwords wait to be checked")


class Passwords:
    """
    Answers the questions of `BasicCheck`.

    :param seconds: a monotonic clock.
    :param of_asker: how many may wait of those that the checks of one asker ask.
    :ivar checked: how many passwords were hashed.
    :ivar turned_away: how many found no room.
    """

    def __init__(
        self, reactor: Reactor, seconds: Callable[[], float], *, threads: int = THREADS, of_asker: int = MAX_WAITING
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._pool = ThreadPool(0, threads, "passwords")
        # By check as well: one that was made anew, as its users changed, has nothing of what the one before it finds.
        self._waiting: dict[tuple[BasicCheck, Question], list[Deferred[Answer]]] = {}
        self._of_network: dict[str, int] = {}
        self._most_of_asker = of_asker
        self._of_asker: dict[Hashable, int] = {}
        self.checked = 0
        self.turned_away = 0

    def start(self) -> None:
        """Let threads begin when they are needed."""
        self._pool.start()

    def stop(self) -> None:
        """Let threads end; questions that wait are not answered any more."""
        if self._pool.started:
            self._pool.stop()

    def answer(self, question: Question, check: BasicCheck, network: str) -> Deferred[Answer]:
        """
        Answer a question; equal ones that wait are hashed once.

        :param network: of the visitor.
        """
        answered: Deferred[Answer] = Deferred()
        others = self._waiting.get((check, question))
        if others is not None:
            if len(others) >= MAX_WAITING:
                return self._turn_away()
            others.append(answered)
            return answered
        count, of_asker = self._of_network.get(network, 0), self._of_asker.get(check.asker, 0)
        is_full = len(self._waiting) >= MAX_WAITING or of_asker >= self._most_of_asker
        if is_full or count >= MAX_WAITING_OF_NETWORK:
            return self._turn_away()
        self._of_network[network] = count + 1
        self._of_asker[check.asker] = of_asker + 1
        self._waiting[check, question] = [answered]
        self.checked += 1
        hashed: Deferred[Answer] = deferToThreadPool(self._reactor, self._pool, check.is_right, question)
        hashed.addBoth(self._hashed, question, check, network)
        return answered

    def _turn_away(self) -> Deferred[Answer]:
        self.turned_away += 1
        return succeed(_BUSY)

    def _hashed(self, result: Answer | Failure, question: Question, check: BasicCheck, network: str) -> None:
        _take_one(self._of_network, network)
        _take_one(self._of_asker, check.asker)
        if isinstance(result, Answer):
            check.remember(question, result, self._seconds())
        self._tell(self._waiting.pop((check, question)), result)

    def _tell(self, waiting: Sequence[Deferred[Answer]], result: Answer | Failure) -> None:
        """Give an answer to those who wait for it, some in each turn of the reactor."""
        for answered in waiting[:TOLD_AT_ONCE]:
            answered.callback(result)
        if len(waiting) > TOLD_AT_ONCE:
            self._reactor.callLater(0, self._tell, waiting[TOLD_AT_ONCE:], result)


def _take_one(counts: dict[K, int], key: K) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]

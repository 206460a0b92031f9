"""
The look-up of a request's route, in steps: what is cheap is done at once, what may be costly a step at a time.

One hostname's path rules take up to 4 ms (`rules`), and a request may have to be compared with those of each pattern
that covers its hostname, a hundred of them. So the price of a comparison is known before it is made, which is what RE2
takes at worst for so many instructions and bytes, and a step ends before the rule that it cannot pay for. Who takes the
steps, and when, is not decided here.
"""

from collections.abc import Iterator, Sequence

from warp_twisted.edge.refusals import PATH_TOO_LONG
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.rules import LARGEST_PRICE, LONGEST_PATH, decoded_path
from warp_twisted.http1.refusals import MessageRefused

FREE_PRICE = 30_000  # 0.3 ms at worst, for what is done at once
_RULE_PRICE = 20  # of each rule, whatever it compares
_ESCAPE_PRICE = 15  # of each byte of a path that is escaped
STEP_PRICE = LARGEST_PRICE + _RULE_PRICE  # 4 ms at worst; it pays for any one rule

# The routes of one hostname or pattern in the order in which they are tried, and how long a path they may be compared
# with, in bytes.
Candidate = tuple[Sequence[Route], int]
_NOTHING: Candidate = ((), 0)


class Search:
    """
    One look-up.

    :param candidates: what stands for the request's hostname, the most specific first.
    :param target: the request target.
    :ivar route: what was found, once `take_step` has returned True; None if that is nothing.
    """

    __slots__ = ("_candidates", "_longest", "_path", "_rules", "_target", "route")

    def __init__(self, candidates: Iterator[Candidate], target: bytes) -> None:
        self._candidates = candidates
        self._target = target
        self._path: bytes | None = None  # decoded, when it is needed first
        self._rules: list[Route] = []  # of one candidate, the next one last
        self._longest = 0
        self.route: Route | None = None

    def take_step(self, price: int = STEP_PRICE) -> bool:
        """
        Go on with the look-up.

        :param price: that may be paid for it: instructions times bytes, 10 ns each at worst.
        :returns: whether it is done.
        :raises MessageRefused: if the path is too long for the rules that it would have to be compared with.
        """
        rules = self._rules
        while rules or self._begin_candidate():
            path = self._path
            if path is None:
                price -= _ESCAPE_PRICE * self._target.count(b"%")
                if price < 0:
                    return False
                path = self._path = decoded_path(self._target, LONGEST_PATH)
            size = len(path)
            if size > self._longest:
                raise MessageRefused(PATH_TOO_LONG)
            price -= _RULE_PRICE + rules[-1].instructions * size
            if price < 0:
                return False
            route = rules.pop()
            if route.matches(path):
                self.route = route
                return True
        return True

    def _begin_candidate(self) -> bool:
        """Go on with the next hostname or pattern; return whether a path must be compared with its rules."""
        routes, self._longest = next(self._candidates, _NOTHING)
        if not routes:
            return False
        if not routes[0].path:
            self.route = routes[0]
            return False
        self._rules.extend(reversed(routes))
        return True

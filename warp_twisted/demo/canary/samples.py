"""
What `warp demo --canary` shows at one moment: of each share what it was asked to get, and what it got of late.

The edge counts from its start on; what was sent of late is the difference of two looks. Pure.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from warp_twisted.cli.operate.answers import SplitHostname

RECENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one visitor saw last; `release` is empty of one that saw nothing yet."""

    release: str
    has_failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSample:
    """
    One share.

    :ivar asked: which part of the requests it should get, 0 to 1.
    :ivar sent: which part of the last seconds' requests it got; None: there were none.
    :ivar recent_requests: in the last seconds; `recent_errors`: of these.
    """

    selector: str
    asked: float
    sent: float | None
    recent_requests: int
    recent_errors: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One moment.

    :ivar target: which part the shift under way leads to; None: there is none, or it is there.
    :ivar guard: what the guard finds: `better`, `worse`, `undecided`; empty: there is none.
    :ivar taken_back: whether it has acted.
    """

    hostname: str
    shares: tuple[ShareSample, ...]
    seconds: float
    selector: str = ""
    target: float | None = None
    guard: str = ""
    reason: str = ""
    taken_back: bool = False
    visitors: tuple[Seen, ...] = ()


class Recent:
    """What was counted in the last seconds, of counters that only grow."""

    def __init__(self, seconds: float = RECENT_SECONDS) -> None:
        self._seconds = seconds
        self._looks: deque[tuple[float, tuple[int, ...]]] = deque()

    def note(self, at: float, counts: Sequence[int]) -> tuple[float, tuple[int, ...]]:
        """
        Note what the counters are now.

        :returns: since how many seconds what is returned was counted, and by how much each has grown in that time.
        """
        now = tuple(counts)
        if self._looks and any(new < old for new, old in zip(now, self._looks[-1][1], strict=True)):
            self._looks.clear()  # the split is another one, which is counted from nothing
        self._looks.append((at, now))
        while len(self._looks) > 2 and at - self._looks[1][0] >= self._seconds:
            self._looks.popleft()
        began, before = self._looks[0]
        return at - began, tuple(new - old for new, old in zip(now, before, strict=True))


class Samples:
    """Makes samples of what an edge says of a split, look by look."""

    def __init__(self) -> None:
        self._recent = Recent()

    def take(self, at: float, split: SplitHostname, visitors: Sequence[Seen]) -> Sample:
        """Return what there is to see at an instant of a clock that never goes back."""
        counts = [count for share in split.shares for count in (share.requests, share.errors)]
        seconds, grown = self._recent.note(at, counts)
        requests, errors = grown[::2], grown[1::2]
        total = sum(requests)
        shift, guard = split.shift, split.guard
        return Sample(
            hostname=split.hostname,
            shares=tuple(
                ShareSample(
                    selector=share.selector,
                    asked=share.part,
                    sent=requests[index] / total if total else None,
                    recent_requests=requests[index],
                    recent_errors=errors[index],
                    requests=share.requests,
                    errors=share.errors,
                )
                for index, share in enumerate(split.shares)
            ),
            seconds=seconds,
            selector=shift.selector if shift is not None else "",
            target=shift.target if shift is not None and shift.part != shift.target else None,
            guard=guard.verdict if guard is not None else "",
            reason=guard.reason if guard is not None else "",
            taken_back=guard is not None and guard.action == "back",
            visitors=tuple(visitors),
        )

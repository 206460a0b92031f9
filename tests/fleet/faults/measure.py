"""What the samples of visitors and resolvers say of one fault. Pure: samples in, figures out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SLOW_SECONDS = 1.0  # an answer that took longer is not what service is


@dataclass(frozen=True, kw_only=True)
class Sample:
    """
    One visitor's request, or one query.

    :param whom: `edge ADDRESS` or `dns ADDRESS`.
    :param began_at: on the monotonic clock.
    :param wrong: why there was no good answer; empty: there was.
    """

    whom: str
    began_at: float
    seconds: float
    wrong: str

    @property
    def is_visit(self) -> bool:
        """Whether it is a request, rather than a query."""
        return self.whom.startswith("edge ")

    @property
    def is_good(self) -> bool:
        """Whether it was answered well and soon."""
        return not self.wrong and self.seconds <= SLOW_SECONDS


@dataclass(frozen=True, kw_only=True)
class Figures:
    """
    What a fault cost.

    :ivar back_seconds: until the last request or query began that was not answered well and soon; 0: all were.
    :ivar failed: requests.
    :ivar failed_queries: of name servers, each asked once.
    :ivar longest_seconds: the longest that a request took.
    :ivar what: how requests and queries failed → how many.
    """

    requests: int
    failed: int
    failed_queries: int
    longest_seconds: float
    back_seconds: float
    what: dict[str, int]


def figures(samples: Iterable[Sample], began_at: float, back_from: float) -> Figures:
    """
    Sum up what was asked since a fault began.

    :param back_from: from when on service could come back: the fault's own instant, or that when its cause was gone.
    """
    since = [sample for sample in samples if sample.began_at + sample.seconds >= began_at]
    visits = [sample for sample in since if sample.is_visit]
    bad = [sample.began_at for sample in since if not sample.is_good]
    return Figures(
        requests=len(visits),
        failed=sum(bool(visit.wrong) for visit in visits),
        failed_queries=sum(bool(sample.wrong) for sample in since if not sample.is_visit),
        longest_seconds=max((visit.seconds for visit in visits), default=0.0),
        back_seconds=max(0.0, max(bad, default=back_from) - back_from),
        what=dict(Counter(f"{sample.whom.split()[0]}: {sample.wrong}" for sample in since if sample.wrong)),
    )


def is_calm(samples: Sequence[Sample], now: float, seconds: float) -> bool:
    """Whether there were answers to everybody for so long, and good ones only."""
    lately = [sample for sample in samples if sample.began_at + sample.seconds >= now - seconds]
    everybody = {sample.whom for sample in samples}
    return bool(lately) and {sample.whom for sample in lately} == everybody and all(sample.is_good for sample in lately)

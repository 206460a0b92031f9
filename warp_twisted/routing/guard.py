"""
The guard of a share: whether it does worse than the others of its split in the same window.

Chance is told from cause. A share is worse if it fails its limits *and* that is three standard deviations away from
what the limits allow: one unlucky request of a hundred takes no release back, ten do. In between, and with fewer
requests than `minimum` on either side, nothing is known.

The 99th percentiles are compared without trusting the share's own, which a hundred requests do not give: of all its
requests, one of a hundred may take longer than the others' percentile times the limit. More is worse.

A share whose origins all fail is ejected long before it has had `minimum` requests: the others serve in its place. So
that is held against it by itself, if no request has brought one of them back in a whole window.

When the share has all requests there are no others in the window. It is then held against the last window in which
they had enough, for a while.
"""

from enum import StrEnum
from math import sqrt

import msgspec

from warp_twisted.routing.latencies import quantile, slower_than
from warp_twisted.routing.window import Counts, Moment, Window

DEVIATIONS = 3.0
PERCENTILE = 0.99
EJECTED_SECONDS = 15.0  # at least: by then a request has shown whether an ejected origin serves again
REMEMBERED_WINDOWS = 10  # for how many windows the others' last good one is held against the share


class Verdict(StrEnum):
    """What is known of a share."""

    BETTER = "better"  # as good as the others, within the limits
    WORSE = "worse"
    UNDECIDED = "undecided"


class Finding(msgspec.Struct, frozen=True):
    """
    A verdict.

    :param reason: a phrase for whoever reads it.
    """

    verdict: Verdict
    reason: str


class Limits(msgspec.Struct, frozen=True):
    """
    How much worse than the others a share may be.

    :param error_ratio: by how much its part of errors may be above theirs, 0 to 1.
    :param p99: how many times as long its slowest hundredth may take; None: it is not asked.
    :param seconds: the window's length.
    :param minimum: of requests in the window, on both sides.
    """

    error_ratio: float
    p99: float | None
    seconds: float
    minimum: int


class Guard:
    """
    Judges one share from its first moment on.

    :param limits: what it may do.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._window = Window(limits.seconds)
        self._others: Counts | None = None  # the last time that they had enough
        self._others_at = 0.0
        self._was_healthy = False
        self._awaited_since: float | None = None
        self._ejected_since: float | None = None

    def remember_others_of(self, before: "Guard") -> None:
        """
        Take over what the others did last from the guard of the shift before.

        A share that is shifted to all requests at once leaves the others none, so without this nobody would judge it.
        """
        self._others, self._others_at = before._others, before._others_at

    def look(self, moment: Moment, *, is_healthy: bool, is_awaited: bool, is_ejected: bool = False) -> Finding:
        """
        Return what is known now.

        :param moment: what the counters are, at an instant of a clock that never goes back.
        :param is_healthy: whether a tunnel of the share is.
        :param is_awaited: whether one should be, because there is a tunnel or a shift.
        :param is_ejected: whether all origins that it has were ejected, and none has given a good answer since.
        """
        self._was_healthy = self._was_healthy or is_healthy or is_ejected  # to fail, it got requests
        if not is_awaited or self._was_healthy:
            self._awaited_since = None
        elif self._awaited_since is None:
            self._awaited_since = moment.at
        elif moment.at - self._awaited_since >= self.limits.seconds:
            waited = f"{self.limits.seconds:g} s"
            return Finding(Verdict.WORSE, f"none of its tunnels became healthy in {waited}")
        if not is_ejected:
            self._ejected_since = None
        elif self._ejected_since is None:
            self._ejected_since = moment.at
        elif moment.at - self._ejected_since >= max(self.limits.seconds, EJECTED_SECONDS):
            waited = f"{max(self.limits.seconds, EJECTED_SECONDS):g} s"
            return Finding(Verdict.WORSE, f"all of its origins fail, and none has given a good answer in {waited}")
        if not self._window.note(moment):
            self._others = None
        share, others = self._window.counted(moment)
        if others.requests >= self.limits.minimum:
            self._others, self._others_at = others, moment.at
        elif self._others is not None:
            if moment.at - self._others_at <= REMEMBERED_WINDOWS * self.limits.seconds:
                others = self._others
            else:
                self._others = None
        return compare(self.limits, share, others)


def compare(limits: Limits, share: Counts, others: Counts) -> Finding:
    """Judge what a share did in a window by what the others did."""
    for counts, whose in ((share, "it"), (others, "the others")):
        if counts.requests < limits.minimum:
            text = f"{whose} had {counts.requests} of {limits.minimum} requests in {limits.seconds:g} s"
            return Finding(Verdict.UNDECIDED, text)
    found = [_compared_errors(limits, share, others)]
    if limits.p99 is not None:
        found.append(_compared_latencies(limits.p99, limits.minimum, share, others))
    for verdict in (Verdict.WORSE, Verdict.UNDECIDED):
        for finding in found:
            if finding.verdict is verdict:
                return finding
    return Finding(Verdict.BETTER, "; ".join(finding.reason for finding in found))


def _compared_errors(limits: Limits, share: Counts, others: Counts) -> Finding:
    own, theirs = share.errors / share.requests, others.errors / others.requests
    reason = f"errors {own:.1%}, of the others {theirs:.1%}"
    excess = own - theirs
    if excess <= limits.error_ratio:
        return Finding(Verdict.BETTER, reason)
    allowed = min(1.0, theirs + limits.error_ratio)
    deviation = sqrt(allowed * (1 - allowed) / share.requests + theirs * (1 - theirs) / others.requests)
    return _beyond(excess - limits.error_ratio > DEVIATIONS * deviation, reason)


def _compared_latencies(times: float, minimum: int, share: Counts, others: Counts) -> Finding:
    theirs = quantile(others.latencies, PERCENTILE)
    total = sum(share.latencies)
    if theirs is None or min(total, sum(others.latencies)) < minimum:
        return Finding(Verdict.BETTER, "too few with a length of time to compare")
    slow = slower_than(share.latencies, theirs * times)
    allowed = 1 - PERCENTILE
    reason = (
        f"{slow / total:.1%} took longer than {times:g} times the others' slowest hundredth ({theirs * 1e3:.3g} ms)"
    )
    if slow <= allowed * total:
        return Finding(Verdict.BETTER, reason)
    return _beyond(slow - allowed * total > DEVIATIONS * sqrt(total * allowed * (1 - allowed)), reason)


def _beyond(is_certain: bool, reason: str) -> Finding:
    return Finding(Verdict.WORSE, reason) if is_certain else Finding(Verdict.UNDECIDED, f"{reason}: may be chance")

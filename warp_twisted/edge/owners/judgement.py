"""
May an agent serve a hostname, and what has the registry to hold then? Pure.

A hostname belongs to the group that served it first, and agents of that group serve it as they like. Another group gets
it in one way without a hand: its certificate names the hostname, the holder's covered it by a pattern only, and no
tunnel of the holder serves it now. What is under a pattern that is served as such belongs to the pattern's group,
unless it has an owner of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from warp_twisted.edge.errors import OfferRefused
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.model import MAX_SERVED_BY, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """
    An agent that wants to serve hostnames.

    :param patterns: what its certificate allows.
    :param is_inherited: whether it enrolled before there were groups, and is here for the first time since.
    """

    agent: str
    group: str
    patterns: Sequence[HostnamePattern]
    is_inherited: bool = False

    def names_exactly(self, hostname: str) -> bool:
        """Whether its certificate names a hostname or pattern as it is."""
        return any(pattern.text == hostname for pattern in self.patterns)


def judge(
    applicant: Applicant,
    hostname: str,
    held: Owner | None,
    above: Owner | None,
    is_served: Callable[[str], bool],
    now: float,
) -> Owner | None:
    """
    Judge one hostname, or a pattern that is served as such.

    :param held: its owner.
    :param above: the owner of the most specific pattern that covers it.
    :param is_served: says of a hostname whether an agent of its owner serves it now.
    :param now: the time of day.
    :returns: the owner that the registry is to hold from now on; None if what it holds is right.
    :raises OfferRefused: if it belongs to others; the sentence says to whom, since when, and what to do.
    """
    is_exact = applicant.names_exactly(hostname)
    if held is not None and held.group == applicant.group:
        return _joined(held, applicant.agent, is_exact)
    if held is not None:
        if held.is_exact or not is_exact or is_served(hostname):
            raise refusal(hostname, held)
    elif above is not None and above.group != applicant.group:
        may_inherit = applicant.is_inherited and above.is_inherited
        if not may_inherit and (not is_exact or is_served(above.hostname)):
            raise refusal(hostname, above)
    return Owner(
        hostname=hostname,
        group=applicant.group,
        since=now,
        is_exact=is_exact,
        agents=(applicant.agent,),
        is_inherited=applicant.is_inherited,
    )


def refusal(hostname: str, owner: Owner) -> OfferRefused:
    """Return the refusal of a hostname that belongs to others, itself or by a pattern that covers it."""
    since = datetime.fromtimestamp(owner.since, UTC).strftime("%Y-%m-%d %H:%M")
    with_pattern = "" if owner.hostname == hostname else f", with {owner.hostname},"
    return OfferRefused(
        "conflict",
        f"{hostname} belongs{with_pattern} to the group {owner.group} since {since} UTC; to serve it as well, enroll"
        f" with a token of warp token create --share {owner.group}; to free it, stop its agents and run"
        f" warp hostname release '{owner.hostname}'",
    )


def _joined(held: Owner, agent: str, is_exact: bool) -> Owner | None:
    """Return an owner with one more agent that serves it; None if it is there already."""
    if agent in held.agents and (held.is_exact or not is_exact):
        return None
    others = [each for each in held.agents[1:] if each != agent][-(MAX_SERVED_BY - 2) :]
    agents = held.agents if agent in held.agents else (*held.agents[:1], *others, agent)
    return replace(held, is_exact=held.is_exact or is_exact, agents=agents)

"""
What is written down of each request: the hostname's counters, and a line of the access log.
"""

from collections.abc import Sequence

from warp_twisted.edge.exchange.access_log import AccessEntry
from warp_twisted.edge.exchange.interfaces import Asker, Shared
from warp_twisted.edge.exchange.steering import Steering
from warp_twisted.edge.refusals import VISITOR_GONE
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.http1.refusals import Refusal
from warp_twisted.http1.request import RequestHead
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.verdict import ALLOWED, Verdict


def record(
    visitors: Shared,
    asker: Asker,
    head: RequestHead,
    request_id: bytes,
    started_at: float,
    status: int,
    bytes_in: int,
    bytes_out: int,
    route: Route | None,
    member: Member | None,
    refusal: Refusal | None,
    detail: str,
    verdict: Verdict = ALLOWED,
    held_seconds: float = 0.0,
    steering: Steering | None = None,
    queued_seconds: float = 0.0,
) -> None:
    """
    Count a request that is over, and log it.

    :param started_at: when its head was read, by the visitors' clock.
    :param status: what the visitor was answered; 0 if nothing.
    :param member: the tunnel it went to last.
    :param refusal: why the edge answered it or cut the answer.
    :param detail: the agent's words about it, or the rule's.
    :param verdict: of the policy.
    :param held_seconds: for which limits of bytes held it back.
    :param steering: of a split hostname: which share served it last, and which one a tester asked for.
    :param queued_seconds: for which it waited for a place at an origin.
    """
    metrics = visitors.metrics
    seconds = visitors.seconds() - started_at
    status = status or VISITOR_GONE.status
    counters = metrics.unrouted if route is None else route.counters
    metrics.count_request(counters, status, bytes_in, bytes_out, seconds)
    share = None if steering is None else steering.share
    if share is not None:
        share.counters.count(status, seconds)
    reason = ""
    if refusal is not None:
        reason = refusal.slug
        metrics.count_refusal(refusal)
    log = visitors.access_log
    if log is None:
        return
    fields = head.fields
    if member is None:
        tunnel = agent = via = ""
    else:
        serving = member.load.tunnel
        tunnel, agent, via = serving.id, serving.agent, serving.via
        if member.complaint is not None and not detail:
            detail = f"not healthy: {member.complaint}"
    log.record(
        AccessEntry(
            log.timestamp(),
            request_id.decode(),
            asker.address,
            asker.scheme,
            head.method.decode(),
            fields.host,
            head.target.decode(),
            status,
            bytes_in,
            bytes_out,
            int(seconds * 1_000_000) / 1000,  # rounded to microseconds in a quarter of the time that round takes
            tunnel,
            agent,
            "" if route is None else route.name,
            fields.user_agent,
            reason,
            detail,
            verdict.objection.rule if verdict.objection is not None else "",
            " ".join([each.rule for each in verdict.would]) if verdict.would else "",
            _subjects(verdict.identities) if verdict.identities else "",
            int(held_seconds * 1000),
            "" if share is None else share.selector,
            "" if steering is None else steering.tester,
            "" if steering is None else steering.copied_to,
            int(queued_seconds * 1000),
            via,
        )
    )


def _subjects(identities: Sequence[Identity]) -> str:
    """Return who was proven, mostly one."""
    return identities[0].subject if len(identities) == 1 else " ".join([each.subject for each in identities])

"""
What the edge asks other web servers with, and what went wrong there in words.

Knows nobody who asks: `policy.fetched_keys` fetches key sets, `routing.notices` tells notices.
"""

from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseFailed
from twisted.web.iweb import IAgent, IPolicyForHTTPS

from warp_base.reactor import Reactor

CONNECT_SECONDS = 10.0


def make_agent(reactor: Reactor, trust: IPolicyForHTTPS | None = None) -> IAgent:
    """
    Return what asks https servers, and follows no redirects: one could lead away from https.

    :param trust: which certificates are believed; None for those of the system's authorities.
    """
    agent: IAgent = Agent(reactor, trust or BrowserLikePolicyForHTTPS(), connectTimeout=CONNECT_SECONDS)
    return agent


def cause_of(error: BaseException | None) -> str:
    """Return what lies behind a failure to ask, in words."""
    while isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    return str(error) or type(error).__name__

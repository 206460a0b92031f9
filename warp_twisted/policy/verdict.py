"""
What a judgement comes to: allowed, denied, challenged, sent to https; or the questions that are to be answered first.

Every reason that a verdict can give is named here, so that it can label a metric.
"""

from collections.abc import Hashable
from enum import Enum

import msgspec

from warp_twisted.policy.changes import Changes
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.interfaces import Identity, Limiter, Question


class Action(Enum):
    """What becomes of the request."""

    ALLOW = "allow"
    DENY = "deny"
    CHALLENGE = "challenge"  # denied, and the visitor is asked for credentials
    REDIRECT = "redirect"  # answered with 308 to the same place under https
    ASK = "ask"  # not decided: answer the questions, and judge again with the answers


class Reason(msgspec.Struct, frozen=True):
    """
    Why a rule did not let a request through.

    :param status: the HTTP status of the answer.
    :param slug: its stable name, in logs and as a metric label.
    :param sentence: what a person reads; it quotes nothing that the visitor sent.
    """

    status: int
    slug: str
    sentence: str


DENIED = Reason(403, "denied", "This is not served here.")
SOURCE = Reason(403, "source", "Your address may not come here.")
ROUTE = Reason(403, "route", "This application does not serve this path with this method.")
ODD_PATH = Reason(400, "odd-path", "The path can be read in more than one way. Spell it plainly.")
INSECURE = Reason(308, "insecure", "This is served by https.")
TOO_MANY = Reason(429, "limit", "There are too many requests. Wait a while.")
UNPROVEN = Reason(401, "unauthenticated", "Sign in to see this.")
REFUSED = Reason(401, "credential", "These credentials are not accepted here.")
BUSY = Reason(503, "check-busy", "Credentials cannot be checked at the moment. Try again soon.")
CHECK_FAILED = Reason(503, "check-failed", "Whether you may see this cannot be decided at the moment.")

REASONS = (DENIED, SOURCE, ROUTE, ODD_PATH, INSECURE, TOO_MANY, UNPROVEN, REFUSED, BUSY, CHECK_FAILED)


class Objection(msgspec.Struct, frozen=True):
    """
    What one rule has against a request.

    :param rule: its name.
    :param detail: for logs and `warp policy explain`: which part of the rule, in a few words.
    :param limit: the limit that is reached, where it is one.
    :param wait: seconds after which it would be granted.
    """

    rule: str
    reason: Reason
    detail: str = ""
    limit: Limit | None = None
    wait: float = 0.0
    challenges: tuple[bytes, ...] = ()


class Held(msgspec.Struct, frozen=True):
    """
    A limit that goes with an allowed request: `bytes` pace it, `concurrent_requests` are given back when it ends.

    :param key: what the limiter counts it by.
    :param rule: whose limit it is.
    """

    limit: Limit
    limiter: Limiter
    key: Hashable
    rule: str


class Verdict(msgspec.Struct, frozen=True):
    """
    What to do with one request.

    :param objection: why it is not allowed; None of a verdict that allows or asks.
    :param would: what rules that only log have against it.
    :param questions: to be answered before it is judged again.
    :param identities: what was proven.
    :param request: changes of the fields for the origin, in order.
    :param response: changes of the fields for the visitor, in order; those that https asks for among them.
    :param withheld: what carried credentials and the origin does not get, as in `Check.carriers`.
    :param asserted: whether the origin is told the identities.
    :param held: the limits that go with it.
    :param errors: what checks raised, to be logged: each is a bug, or a part that is gone.
    :param aside: questions of rules that only log, of a request that is decided: it does not wait for the answers.
    :param unsaid: the names of those rules.
    :param passes: True only if it allows, and nothing is to be done but to note who was proven: so much is found out
        where that is cheap. Of a verdict that allows, too, False says nothing.
    """

    action: Action
    objection: Objection | None = None
    would: tuple[Objection, ...] = ()
    questions: tuple[Question, ...] = ()
    identities: tuple[Identity, ...] = ()
    request: tuple[Changes, ...] = ()
    response: tuple[Changes, ...] = ()
    withheld: tuple[bytes, ...] = ()
    asserted: bool = False
    held: tuple[Held, ...] = ()
    errors: tuple[Exception, ...] = ()
    aside: tuple[Question, ...] = ()
    unsaid: tuple[str, ...] = ()
    passes: bool = False


ALLOWED = Verdict(Action.ALLOW, passes=True)  # by a program that has nothing to say, and where there is none

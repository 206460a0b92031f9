"""
The policy of an edge that cannot use the one that it is meant to have: nobody is let through, and all are told 503.

An edge that starts has no policy of before to stay with. It answers, so that operators can reach it and see why; what
it should have is put in force as soon as it can be used.
"""

from pathlib import Path

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.policy.loading import Loaded, assemble
from warp_twisted.edge.policy.parts import PolicyParts
from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Check

RULE = "no-usable-policy"
_TEXT = f"rules: [{{name: {RULE}, authenticate: {{all_of: [{{service_token: {{}}}}]}}}}]"


class PolicyUnusable(EdgeError):
    """The edge has no policy that it can use, and lets nobody through; `warp status` says why."""


class _Undecidable:
    """A check that fails, and so denies with 503."""

    kind = RULE
    challenge = None
    carriers = ()
    authorities: tuple[bytes, ...] = ()

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Fail."""
        raise PolicyUnusable()


class _Parts(PolicyParts):
    """Makes that check, whatever is asked for."""

    def check(self, proof: Proof, where: str) -> Check:
        """Make the check."""
        return _Undecidable()


def closed_policy() -> Loaded:
    """Return it."""
    return assemble(parse_policy(_TEXT, RULE), RULE, _Parts(Path(), {}))

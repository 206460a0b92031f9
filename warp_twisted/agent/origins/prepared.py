"""Rules whose origins' files are read, ready to be served: what can no longer fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warp_twisted.agent.origins import BuiltIn, Dial, OriginRequest
from warp_twisted.agent.origins.ingress import Ingress, Rule
from warp_twisted.wire.releases import HOST_HEADER, POLICY

OriginKey = tuple[str, OriginRequest]
RouteKey = tuple[str, str, OriginKey]


@dataclass(frozen=True, slots=True)
class PreparedIngress:
    """
    Rules, and how each origin that they lead to is reached: what `Routes.replace` needs and can no longer fail.

    :ivar accesses: in the order of the rules.
    :ivar policy: what edges are asked to enforce, as a hello has it.
    :ivar routes: what is offered, with the rule that it follows from.
    """

    ingress: Ingress
    routes: Sequence[tuple[RouteKey, Rule]]
    accesses: Mapping[OriginKey, Dial | BuiltIn]
    policy: str = ""

    @property
    def requires(self) -> tuple[str, ...]:
        """What edges must promise for these rules (`wire.releases`)."""
        has_hosts = any(rule.host_header for _, rule in self.routes)
        return (*([POLICY] if self.policy else []), *([HOST_HEADER] if has_hosts else []))


def origin_key(rule: Rule) -> OriginKey:
    """Return what rules share that lead to one origin in one way."""
    return rule.origin.text, rule.request

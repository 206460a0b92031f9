"""
Until when an edge that drains keeps its doors open for visitors: until its agents serve at other edges.

It hears the registry's mirror, in which every edge says what tunnels it has, and knows nothing of tunnels themselves.
An agent that has another edge dials it as soon as it is told to move, and its old tunnel serves who comes meanwhile.
"""

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Tunnel

MOVE_SECONDS = 5.0  # for an agent that cannot reach another edge, all others have had time enough


async def agents_moved(mirror: Mirror, edge: str, clock: IReactorTime, seconds: float) -> int:
    """
    Wait until no agent has tunnels at this edge alone, for at most so long.

    Costs one look at each tunnel of the fleet, and then some at each that comes or goes.

    :param edge: this edge's name.
    :returns: how many agents have not moved.
    """
    here: Counter[str] = Counter()
    elsewhere: set[str] = set()
    for tunnel in mirror.tunnels.values():
        if tunnel.edge == edge:
            here[tunnel.agent] += 1
        elif not tunnel.draining:
            elsewhere.add(tunnel.agent)
    staying = here.keys() - elsewhere
    if not staying:
        return 0
    moved: Deferred[None] = Deferred()

    def changed(changes: Sequence[Change]) -> None:
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, Tunnel) and after.edge != edge and not after.draining:
                staying.discard(after.agent)
            elif isinstance(before, Tunnel) and after is None and before.edge == edge:
                here[before.agent] -= 1
                if not here[before.agent]:
                    staying.discard(before.agent)
        if not staying and not moved.called:
            moved.callback(None)

    unsubscribe = mirror.subscribe(changed)
    try:
        await moved.addTimeout(seconds, clock, onTimeoutCancel=lambda result, timeout: None)
    finally:
        unsubscribe()
    return len(staying)

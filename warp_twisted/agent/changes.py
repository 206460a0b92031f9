"""
What other settings change in an agent that runs: what it takes, what waits for a restart, and what needs new tunnels.

Pure: two settings in, names of keys out. Who applies them is `agent.service`.
"""

from dataclasses import dataclass, replace

from warp_twisted.agent.settings import AgentSettings

_NEED_RESTART = ("state", "tunnels", "metrics")
_OF_TUNNELS = ("labels", "edges", "zone", "require")  # edges hear of the first and last in the hello alone
_RELOADED = {
    "ingress": "ingress",
    "spread": "spread",
    **{name: name for name in _OF_TUNNELS},
    "drain_seconds": "drain",
    "log_format": "log.format",
    "log_level": "log.level",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """
    What comes of other settings.

    :ivar settings: those in force afterwards: what waits for a restart is as before.
    :ivar taken: keys as agent.yaml spells them, and `waits` those that wait.
    :ivar needs_tunnels: whether each tunnel is to be dialed anew.
    """

    settings: AgentSettings
    taken: tuple[str, ...]
    waits: tuple[str, ...]
    needs_tunnels: bool


def changes(before: AgentSettings, wanted: AgentSettings) -> Changes:
    """Compare the settings in force with those that are wanted."""
    taken = tuple(key for name, key in _RELOADED.items() if getattr(wanted, name) != getattr(before, name))
    return Changes(
        settings=replace(wanted, **{key: getattr(before, key) for key in _NEED_RESTART}),
        taken=taken,
        waits=tuple(key for key in _NEED_RESTART if getattr(wanted, key) != getattr(before, key)),
        needs_tunnels=not set(_OF_TUNNELS).isdisjoint(taken),
    )

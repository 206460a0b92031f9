"""
The states of the link with one other edge, as a table.

All that changes the state is an event here; what is done then is `edge.peers.links`'. The table does not know which
side dials. An edge is believed from the first whole snapshot until its link is lost; when it replaces its link, as it
does with a new process, what was believed stays until the new snapshot is whole.
"""

from enum import Enum


class LinkState(Enum):
    """What there is between this edge and another."""

    AWAY = "no connection; it counts as dead"
    DIALING = "this edge dials it"
    OPEN = "connected; its snapshot has not come whole yet"
    CURRENT = "what it told is believed, and changes come"
    RENEWING = "a newer connection took the place of a current one; its snapshot has not come whole yet"

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self in (LinkState.OPEN, LinkState.CURRENT, LinkState.RENEWING)

    @property
    def is_alive(self) -> bool:
        """Whether the edge counts as alive, with what it told."""
        return self in (LinkState.CURRENT, LinkState.RENEWING)


class LinkEvent(Enum):
    """What happens to it."""

    DIAL = "this edge begins to dial"
    FAILURE = "dialing came to nothing"
    CONNECTION = "a connection is proven, dialed or accepted; one that there was is replaced"
    SNAPSHOT = "everything that the other edge has was told"
    LOSS = "the connection is lost, silent or broken"


_S, _E = LinkState, LinkEvent
LINK_TRANSITIONS: dict[tuple[LinkState, LinkEvent], LinkState] = {
    (_S.AWAY, _E.DIAL): _S.DIALING,
    (_S.AWAY, _E.FAILURE): _S.AWAY,  # of a connection that was lost already
    (_S.AWAY, _E.CONNECTION): _S.OPEN,
    (_S.DIALING, _E.FAILURE): _S.AWAY,
    (_S.DIALING, _E.CONNECTION): _S.OPEN,
    (_S.OPEN, _E.DIAL): _S.OPEN,  # another process of that edge answers from now on
    (_S.OPEN, _E.FAILURE): _S.OPEN,
    (_S.OPEN, _E.CONNECTION): _S.OPEN,
    (_S.OPEN, _E.SNAPSHOT): _S.CURRENT,
    (_S.OPEN, _E.LOSS): _S.AWAY,
    (_S.CURRENT, _E.DIAL): _S.CURRENT,
    (_S.CURRENT, _E.FAILURE): _S.CURRENT,
    (_S.CURRENT, _E.CONNECTION): _S.RENEWING,
    (_S.CURRENT, _E.LOSS): _S.AWAY,
    (_S.RENEWING, _E.DIAL): _S.RENEWING,
    (_S.RENEWING, _E.FAILURE): _S.RENEWING,
    (_S.RENEWING, _E.CONNECTION): _S.RENEWING,
    (_S.RENEWING, _E.SNAPSHOT): _S.CURRENT,
    (_S.RENEWING, _E.LOSS): _S.AWAY,
}

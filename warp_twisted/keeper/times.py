"""How long each phase of a hand-over may take, and how many processes drain at most: what `handover` decides by."""

PREPARE_SECONDS = 60.0
RELEASE_SECONDS = 5.0
TAKE_SECONDS = 30.0
TUNNEL_SECONDS, MAX_TAKE_SECONDS = 0.1, 600.0  # more for each tunnel that is to move; the old process serves on
WATCH_SECONDS = 5.0
REPLACE_SECONDS = 90.0  # in which a process that takes no part in hand-overs ends; visitors wait, so it is killed then
RENEW_SECONDS = (
    60.0  # for which the keeper waits, before it goes on as another release, for operators who ask for something
)
END_SECONDS = 10.0  # that the oldest of too many draining processes gets, once it is asked to end
MAX_DRAINING = 2
STEADY_SECONDS = 60.0  # a process that served so long and ends is started again without a pause
MAX_PAUSE_SECONDS = 30.0


def take_seconds(tunnels: int) -> float:
    """Return how long a process may take until it serves, where so many tunnels are to move to it."""
    return min(TAKE_SECONDS + tunnels * TUNNEL_SECONDS, MAX_TAKE_SECONDS)

"""How a tunnel of the tests ended, in words."""

from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.frames import GoAwayCode


def end_of(tunnel: TunnelProtocol) -> str | None:
    """Return the go-away code and the reason with which a tunnel ended, None while it has not."""
    outcome = tunnel.outcome
    if outcome is None:
        return None
    code = "lost" if outcome.code is None else GoAwayCode(outcome.code).name
    return f"{code}: {outcome.error}"

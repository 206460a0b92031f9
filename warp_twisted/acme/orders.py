"""
The life of an order, as tables and as the changes of the record that is kept of it. Pure.

The record (`door.Order`) is kept before each step that it describes. What is to be done next is read from the status of
the authority's own order, so a process that was killed between any two steps goes on where the authority is:

| kept | the authority says | what is done |
|---|---|---|
| `begun` | was perhaps asked | nothing; ordered anew when `not_before` is over |
| `ordered`, `finalized` | pending | prove each name |
| | ready | send the request for the certificate |
| | processing | wait |
| | valid | fetch the certificate, and have it taken |
| | invalid, or knows no such order | `failed` |
| `issued`, `failed` | is not asked | ordered anew when it is due: `schedule` |

`begun` pays before it acts: the pause after a failure is kept before the authority is asked, and lifted when the order
has come to its end. So a process that dies at every start orders as rarely as one whose orders fail.
"""

import enum

from msgspec.structs import replace

from warp_twisted.acme.certificates import Issued
from warp_twisted.acme.door import MAX_ERROR_CHARACTERS, Order, Postponed

# After the first failure in a row, the second, and so on, in seconds. Let's Encrypt allows five failed validations of a
# name an hour.
PAUSES = (60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0)
AWAY_SECONDS = 900.0  # at most, if the authority was not reached: it has counted nothing
AGAIN_SECONDS = 60.0  # before an order that is under way is looked at again
MAX_PAUSE_SECONDS = 86400.0  # whatever Retry-After says; nothing is put off for longer
LONGEST_PAUSE_SECONDS = MAX_PAUSE_SECONDS * 5 / 4  # with what chance adds
ISSUED_SECONDS = 3600.0  # between two certificates, whatever the authority or our clock says of the first
MAX_POSTPONED = 200  # identifiers in one record
_DUE_AT_ONCE = "by this machine's clock the new certificate is to be renewed already; look at the clock"


class Action(enum.Enum):
    """What is done about an order next."""

    PROVE = "prove that the names are ours"
    FINALIZE = "send the request for the certificate"
    WAIT = "wait for the authority"
    FETCH = "fetch the certificate"
    FAIL = "give the order up"


# The authority's status of an order (RFC 8555, 7.1.6) → what is done. Another status: the order is given up.
ACTIONS = {
    "pending": Action.PROVE,
    "ready": Action.FINALIZE,
    "processing": Action.WAIT,
    "valid": Action.FETCH,
    "invalid": Action.FAIL,
}


def action_for(status: str) -> Action:
    """Return what is done about an order whose status the authority has said."""
    return ACTIONS.get(status, Action.FAIL)


def pause_after(failures: int, draw: float) -> float:
    """
    Return how long to wait after failures in a row, in seconds.

    :param failures: 1 or more.
    :param draw: 0 to 1, by chance; lengthens the pause by up to a quarter.
    """
    return PAUSES[min(failures, len(PAUSES)) - 1] * (1 + draw / 4)


def begun(order: Order, names: tuple[str, ...], directory: str, secret: str, now: float, draw: float) -> Order:
    """Return the record from before the authority is asked for an order."""
    failures = order.failures + 1
    return replace(
        order,
        names=names,
        directory=directory,
        step="begun",
        url="",
        secret=secret,
        sealed="",
        failures=failures,
        not_before=now + pause_after(failures, draw),
    )


def ordered(order: Order, url: str) -> Order:
    """Return the record of an order that the authority has: it is looked at without a pause."""
    return replace(order, step="ordered", url=url, not_before=0.0)


def finalized(order: Order) -> Order:
    """Return the record from before the request for the certificate is sent."""
    return replace(order, step="finalized")


def issued(order: Order, certificate: Issued, renew_at: float, now: float) -> Order:
    """
    Return the record of a certificate that is taken; the authority is asked at once when to renew it.

    A certificate that is to be renewed as soon as it is there, as our clock or the authority is wrong, is not ordered
    again and again: `not_before` holds.
    """
    is_due = renew_at <= now
    return replace(
        order,
        step="issued",
        url="",
        secret="",
        sealed="",
        not_before=now + (MAX_PAUSE_SECONDS if is_due else ISSUED_SECONDS),
        failures=0,
        error=_DUE_AT_ONCE if is_due else "",
        postponed={name: each for name, each in order.postponed.items() if name not in order.names},
        certificate=certificate.certificate,
        issued_at=certificate.issued_at,
        expires_at=certificate.expires_at,
        renew_at=renew_at,
        ask_window_at=now,
        window=(),
        revoke=False,
        revoke_at=0.0,
    )


def failed(
    order: Order,
    error: str,
    now: float,
    draw: float,
    *,
    retry_seconds: float = 0.0,
    is_away: bool = False,
    identifiers: frozenset[str] = frozenset(),
) -> Order:
    """
    Return the record of an order that came to nothing.

    :param retry_seconds: what the authority asked for; it is believed up to `MAX_PAUSE_SECONDS`.
    :param is_away: whether the authority counted nothing.
    :param identifiers: names that it did not validate; they are put off in other certificates as well.
    """
    pause = pause_after(max(order.failures, 1), draw)
    if is_away:
        pause = min(pause, AWAY_SECONDS)
    pause = max(pause, min(retry_seconds, MAX_PAUSE_SECONDS))
    kept = {name: each for name, each in order.postponed.items() if each.until > now}
    for name in sorted(identifiers & {each.removeprefix("*.") for each in order.names}):
        before = order.postponed.get(name)
        failures = before.failures + 1 if before else 1
        kept[name] = Postponed(failures=failures, until=now + pause_after(failures, draw))
    return replace(
        order,
        step="failed",
        url="",
        secret="",
        sealed="",
        not_before=now + pause,
        error=error[:MAX_ERROR_CHARACTERS],
        failed_at=now,
        postponed=dict(list(kept.items())[-MAX_POSTPONED:]),
    )


def again_later(order: Order, error: str, now: float, retry_seconds: float = 0.0) -> Order:
    """Return the record of an order that goes on after a pause."""
    pause = min(max(AGAIN_SECONDS, retry_seconds), MAX_PAUSE_SECONDS)
    return replace(order, not_before=now + pause, error=error[:MAX_ERROR_CHARACTERS], failed_at=now)


def revoked(order: Order) -> Order:
    """Return the record of a certificate that is revoked: another one is ordered at once."""
    return replace(order, certificate="", not_before=0.0, renew_at=0.0, error="", revoke=False, revoke_at=0.0)


def not_revoked(order: Order, error: str, now: float, retry_seconds: float = 0.0) -> Order:
    """Return the record of a certificate whose revocation was refused: it is tried again after a pause."""
    pause = min(max(AGAIN_SECONDS, retry_seconds), MAX_PAUSE_SECONDS)
    return replace(order, revoke_at=now + pause, error=error[:MAX_ERROR_CHARACTERS], failed_at=now)

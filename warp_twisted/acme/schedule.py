"""
What to do about which certificate, and when. Pure: a view and an instant in, tasks out.

A certificate is renewed at an instant drawn from the window that the authority suggests (ARI, RFC 9773), and without
one when a third of its life is left, a little earlier by chance, so that not all certificates are renewed at once.

Instants that are kept are those of a calendar that may have been wrong. None that puts something off is believed if it
lies further ahead than this room ever does that; so a clock that was wrong leaves nothing that needs a hand. When to
renew is believed: it comes from the certificate, the authority or an operator.
"""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from warp_twisted.acme.door import Order, View
from warp_twisted.acme.orders import LONGEST_PAUSE_SECONDS, MAX_PAUSE_SECONDS

LONGEST_WAIT_SECONDS = 300.0  # the edge is asked again at the latest
ASK_WINDOW_SECONDS = 6 * 3600.0  # RFC 9773, 4.3.3, where the authority says nothing that is usable
SHORTEST_ASK_SECONDS = 60.0  # RFC 9773, 4.3.2: "reasonable limits"; the longest is MAX_PAUSE_SECONDS
_LATEST_PART = 1 / 12  # of its life that a certificate has left when it is renewed at the latest, whatever ARI says


class What(enum.Enum):
    """What is due, the most urgent first."""

    REVOKE = 0
    RESUME = 1
    ORDER = 2
    ASK_WINDOW = 3


@dataclass(frozen=True, slots=True)
class Task:
    """
    Something that is due.

    :ivar order: the record as it is kept, or a new one.
    :ivar names: those that are wanted; its own if none are.
    """

    what: What
    order: Order
    names: tuple[str, ...]


def tasks(view: View, directory: str, now: float) -> list[Task]:
    """
    Return what is due, in the order in which it is to be done.

    :param directory: the URL of the authority that certificates are ordered from.
    """
    found = [task for task, at in _all(view, directory, now) if at <= now]
    return sorted(found, key=lambda task: (task.what.value, task.order.expires_at, task.order.name))


def wait_seconds(view: View, directory: str, now: float) -> float:
    """Return after how many seconds something may be due, at most `LONGEST_WAIT_SECONDS`."""
    soonest = min((at for _, at in _all(view, directory, now)), default=now + LONGEST_WAIT_SECONDS)
    return min(max(soonest - now, 0.0), LONGEST_WAIT_SECONDS)


def _believed(until: float, now: float) -> float:
    """Return until when something is put off, or 0 if that was said by a clock that was wrong."""
    return until if until <= now + LONGEST_PAUSE_SECONDS else 0.0


def _all(view: View, directory: str, now: float) -> Iterator[tuple[Task, float]]:
    """Yield all that will be due, and when."""
    known = {order.name: order for order in view.orders}
    until = _postponed(view.orders, now)
    wanted = {names[0]: names for names in view.wanted}
    for name, names in wanted.items():
        order = known.get(name, Order(name=name, names=names))
        paused = _believed(order.not_before, now)
        is_issued = order.step == "issued"  # for other names, if it is not the same: nothing has failed
        not_before = max([0.0 if is_issued else paused, *(until.get(each.removeprefix("*."), 0.0) for each in names)])
        is_same = set(order.names) == set(names) and order.directory == directory
        if order.step in ("ordered", "finalized") and is_same:
            yield Task(What.RESUME, order, names), paused
        elif is_issued and is_same:
            yield Task(What.ORDER, order, names), max(order.renew_at, paused)
            yield Task(What.ASK_WINDOW, order, names), _believed(order.ask_window_at, now)
        else:
            yield Task(What.ORDER, order, names), not_before
    for order in view.orders:
        if order.revoke and order.certificate:
            yield Task(What.REVOKE, order, wanted.get(order.name, order.names)), _believed(order.revoke_at, now)


def _postponed(orders: Iterable[Order], now: float) -> dict[str, float]:
    """Return identifier → until when it is not to be ordered."""
    until: dict[str, float] = {}
    for order in orders:
        for name, each in order.postponed.items():
            until[name] = max(until.get(name, 0.0), _believed(each.until, now))
    return until


def renewal_without_window(issued_at: float, expires_at: float, draw: float) -> float:
    """Return when to renew a certificate of which the authority says nothing: a third of its life before it ends."""
    return issued_at + (expires_at - issued_at) * (2 / 3 - draw / 30)


def asked(order: Order, window: tuple[float, float] | None, retry_seconds: float, now: float, draw: float) -> Order:
    """
    Return the record after the authority was asked when to renew.

    RFC 9773, 4.2: "Select a uniform random time within the suggested window." It is drawn once for each window.

    :param window: beginning and end, instants; None if the authority has no answer, and what was drawn stays.
    """
    ask_at = now + min(max(retry_seconds or ASK_WINDOW_SECONDS, SHORTEST_ASK_SECONDS), MAX_PAUSE_SECONDS)
    if window is None or window[0] >= window[1] or window == order.window:
        return replace(order, ask_window_at=ask_at)
    life = order.expires_at - order.issued_at
    drawn = min(window[0] + (window[1] - window[0]) * draw, order.expires_at - life * _LATEST_PART)
    renew_at = order.renew_at if order.renew_at <= now else drawn  # what is due stays due
    return replace(order, ask_window_at=ask_at, window=window, renew_at=renew_at)

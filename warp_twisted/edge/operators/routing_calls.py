"""
The calls of the admin interface about split hostnames: `/v1/splits` and `/v1/shifts`.

What a split is, is told with what its shares really got: requests since this edge began, or since the policy has them.
What a shift does is decided by `edge.routing.shifts`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Protocol

import msgspec
from twisted.web.http import Request

from warp_base.answer_stream import Pieces
from warp_base.reactor import InThread
from warp_twisted.edge.operators.bodies import read_body
from warp_twisted.edge.operators.json_pieces import json_list
from warp_twisted.edge.operators.sites import asking_user
from warp_twisted.edge.operators.status import describe_ejected
from warp_twisted.edge.policy.delivery.applying import user_name
from warp_twisted.edge.routes.ejection import EjectedOrigin
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.edge.routes.share_counters import ShareCounters
from warp_twisted.edge.routes.splitting import RouteSplit
from warp_twisted.registry.route_records import Guarded, Shift
from warp_twisted.routing.guard import Finding
from warp_twisted.routing.layout import WHOLE
from warp_twisted.routing.split import Split

MAX_EJECTED = 100  # origins that are named of one split

Call = tuple[str, str, Callable[..., Any]]


class ShiftWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/shifts`."""

    hostname: Annotated[str, msgspec.Meta(max_length=255)]
    selector: Annotated[str, msgspec.Meta(max_length=1024)]
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)]
    over_seconds: Annotated[float, msgspec.Meta(ge=0, le=30 * 86400)] = 0.0


class Shifting(Protocol):
    """What operators do with shifts; see `edge.routing.shifts`."""

    def listed(self) -> Iterator[tuple[Split, tuple[Shift, int] | None]]:
        """Return each split of the policy, with its shift and what the share gets now."""

    async def shift(self, hostname: str, selector: str, percent: float, over_seconds: float, author: str = "") -> Shift:
        """Give a share another part than the policy does."""

    async def reset(self, hostname: str, author: str = "") -> Shift | Guarded:
        """Let the policy's weights hold again."""


class Guarding(Protocol):
    """What is known of guards; see `edge.routing.guards`."""

    def found(self, split: Split) -> tuple[Guarded | None, Finding]:
        """Return what is on record of a split, and what this edge finds now."""


class Splitting(Protocol):
    """What is known of the splits in use; see `edge.routes.split_hostnames`."""

    def some_users_of(self, split: Split) -> Sequence[RouteSplit]:
        """Return what groups the tunnels of routes by a split; of a pattern, of some routes."""

    def counted(self, split: Split) -> Sequence[ShareCounters]:
        """Return what is counted of each share."""


class Ejecting(Protocol):
    """What is known of origins that fail; see `edge.routes.ejection`."""

    def listed(self) -> Iterator[EjectedOrigin]:
        """Describe those that are not used as others are."""


class RoutingCalls:
    """The calls of one edge."""

    def __init__(
        self, shifts: Shifting, guards: Guarding, splitting: Splitting, ejection: Ejecting, in_thread: InThread
    ) -> None:
        self._shifts = shifts
        self._guards = guards
        self._splitting = splitting
        self._ejection = ejection
        self._in_thread = in_thread

    def calls(self) -> Sequence[Call]:
        """Return method, path and function of each."""
        return (
            ("GET", "/v1/splits", lambda request: self.list_splits()),
            ("POST", "/v1/shifts", self._shift),
            ("DELETE", "/v1/shifts/<hostname>", self._reset),
        )

    def list_splits(self) -> Pieces:
        """Describe the splits of the policy, in JSON."""
        return json_list(self._shifts.listed(), self._described, in_a_step=1)

    def _described(self, listed: tuple[Split, tuple[Shift, int] | None]) -> dict[str, object]:
        split, shift = listed
        users = self._splitting.some_users_of(split)
        layout = users[0].layout if users else split.layout(0)
        tier = users[0].tier if users else 0
        counted = self._splitting.counted(split)
        document = split.document
        cookie = split.cookie
        return {
            "hostname": split.hostname,
            "when_empty": document.when_empty,
            "when_all_unhealthy": document.when_all_unhealthy,
            "unhealthy": list(islice(_unhealthy(split, users), MAX_EJECTED)),
            "sticky": f"cookie {cookie.name.decode()}" if cookie else "address" if split.is_by_address else "",
            "testers": split.testers.told_by if split.testers is not None else "",
            "tier": document.split[split.tiers[tier][0]].tier,
            "unmatched": max((user.unmatched for user in users), default=0),
            "shift": _shift(*shift) if shift is not None else None,
            "guard": self._guard(split),
            "mirror": _mirror(users[0].shadow if users else None),
            "ejected": list(islice(self._ejected(split), MAX_EJECTED)),
            "shares": [
                {
                    "selector": name,
                    "weight": document.split[at].weight,
                    "tier": document.split[at].tier,
                    "part": layout.parts[at],
                    "tunnels": max((user.shares[at].count for user in users), default=0),
                    "healthy": max((user.shares[at].healthy for user in users), default=0),
                    "requests": counted[at].requests,
                    "errors": counted[at].by_class[5],
                }
                for at, name in enumerate(split.names)
            ],
        }

    def _ejected(self, split: Split) -> Iterator[dict[str, object]]:
        """Describe the origins among those of a split that are ejected, each with its share."""
        for origin in self._ejection.listed():
            splits = origin.route.splits
            if splits is not None and any(each.split is split for each in splits.all):
                share = split.share_of(origin.labels)
                if share is not None:
                    yield describe_ejected(origin) | {"selector": split.names[share]}

    def _guard(self, split: Split) -> dict[str, object] | None:
        """Describe what a guard has found; None if there is none, and none has taken the share back before."""
        record, finding = self._guards.found(split)
        has_acted = record is not None and record.action
        if split.guarded is None and not has_acted:
            return None
        selector = record.selector if record is not None else split.names[split.guarded or 0]
        return {
            "selector": selector,
            "verdict": "worse" if has_acted else finding.verdict,
            "reason": record.reason if record is not None and has_acted else finding.reason,
            "action": record.action if record is not None else "",
            "edge": record.edge if record is not None else "",
            "at": record.at if record is not None else 0.0,
        }

    async def _shift(self, request: Request) -> object:
        wish: ShiftWish = read_body(request, ShiftWish)
        author = await self._author(request)
        shift = await self._shifts.shift(wish.hostname, wish.selector, wish.percent, wish.over_seconds, author)
        return _shift(shift, shift.start if shift.over_seconds else shift.target)

    async def _reset(self, request: Request, hostname: str) -> object:
        held = await self._shifts.reset(hostname, await self._author(request))
        if isinstance(held, Guarded):
            return {"hostname": held.hostname, "selector": held.selector, "action": held.action}
        return _shift(held, held.target)

    async def _author(self, request: Request) -> str:
        uid = asking_user(request)
        return await self._in_thread(lambda: user_name(uid))


def _unhealthy(split: Split, users: Sequence[RouteSplit]) -> Iterator[dict[str, object]]:
    """Describe the agents of a split whose probes say that their origins are not healthy, each with its share."""
    seen: set[tuple[str, str]] = set()
    for user in users:
        for name, share in zip(split.names, user.shares, strict=True):
            for agent, reason in share.complaints:
                if (agent, reason) not in seen:
                    seen.add((agent, reason))
                    yield {"selector": name, "agent": agent, "reason": reason}


def _mirror(shadow: Shadow | None) -> dict[str, object] | None:
    """Describe a mirror by the shadow of one route; None if there is none, or nothing is served."""
    if shadow is None:
        return None
    counters = shadow.counters
    return {
        "selector": shadow.mirror.selector,
        "percent": shadow.mirror.percent,
        "tunnels": shadow.members.count,
        "healthy": shadow.members.healthy,
        "copies": counters.copies,
        "answered": counters.requests,
        "errors": counters.by_class[5],
        "unanswered": {why.value: count for why, count in counters.unanswered.items() if count},
    }


def _shift(shift: Shift, part: int) -> dict[str, object]:
    return {
        "hostname": shift.hostname,
        "selector": shift.selector,
        "start": shift.start / WHOLE,
        "target": shift.target / WHOLE,
        "part": part / WHOLE,
        "began_at": shift.began_at,
        "over_seconds": shift.over_seconds,
        "author": shift.author,
    }

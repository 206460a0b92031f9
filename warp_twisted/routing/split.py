"""
A split, compiled: the shares of one entry of the document's `routing`, and which tunnels belong to them.

Pure: labels come in, an index goes out. Which shares have a healthy tunnel, and how many, is the caller's to say.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from warp_twisted.durations import parse_duration
from warp_twisted.names import HostnamePattern, LabelSelector
from warp_twisted.policy.document.guard import BACK, parse_ratio, parse_times
from warp_twisted.policy.document.guard import Guard as GuardDocument
from warp_twisted.policy.document.routing import OTHERS, TRY, Routing, Sticky
from warp_twisted.routing.cookies import usual_form
from warp_twisted.routing.guard import Limits
from warp_twisted.routing.layout import Layout
from warp_twisted.routing.mirror import Mirror
from warp_twisted.routing.testers import SourceSet, Testers

MAX_REMEMBERED = 1_000  # label sets whose share is known
DEFAULT_TTL = "1h"
RETRIED = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # of hostnames whose entry does not say


class StickyCookie(msgspec.Struct, frozen=True):
    """
    A cookie that keeps visitors to their share and agent.

    :param ttl_seconds: since the visitor was last here.
    :param usual: the name as `cookies.take_cookies` looks for it first.
    :param plain: what follows its value in Set-Cookie; `secure`: over https.
    """

    name: bytes
    usual: bytes
    ttl_seconds: int
    plain: bytes
    secure: bytes


class Split:
    """
    The shares of one entry.

    :ivar hostname: or pattern, in normal form.
    :ivar names: of the shares: their selectors as they are written, in printable ASCII.
    :ivar digest: tells this split from others: by its shares, their weights and tiers.
    :ivar tiers: indexes of shares, the first tier first.
    :ivar minimum: the part of a tier's tunnels that must be healthy, 0 to 1.
    :ivar gives_to_others: whether the requests of a share without a healthy tunnel go to the others.
    :ivar needs_health: whether only healthy tunnels are tried.
    :ivar cookie: None if visitors do not keep to their share by one.
    :ivar is_by_address: whether they do by their address.
    :ivar retried: methods whose requests may be sent again although an origin may have worked on them.
    :ivar testers: who may choose a share; None: nobody.
    :ivar mirror: which requests are copied, and to whom; None: none.
    :ivar text: of the entry; two splits with one text are the same.
    :ivar has_told_unmatched: whether the log says already that a tunnel belongs to no share.
    :ivar guarded: the index of the share that a guard judges; None if there is no guard.
    :ivar limits: how much worse it may be.
    :ivar takes_back: whether it gets nothing any more when it is.
    :ivar shifted: as of `Layout`; set by who follows shifts.
    :ivar taken: as of `Layout`; set by who follows guards.
    """

    def __init__(self, document: Routing, sources_of_testers: SourceSet | None = None) -> None:
        """
        Compile an entry.

        :param sources_of_testers: what the document's testers have as `sources`.
        """
        self.document = document
        self.hostname = HostnamePattern.parse(document.hostname).text
        self.names = tuple(" ".join(share.selector.split()) for share in document.split)
        self._selectors = tuple(LabelSelector.parse(name) for name in self.names)
        self.mirror = Mirror(document.mirror, self._selectors) if document.mirror is not None else None
        keys = {each.key for selector in self._selectors for each in selector.requirements}
        self._keys = sorted(keys if self.mirror is None else keys | self.mirror.keys)
        self._known: dict[tuple[str | None, ...], int | None] = {}
        numbers = sorted({share.tier for share in document.split})
        self.tiers = tuple(
            tuple(index for index, share in enumerate(document.split) if share.tier == number) for number in numbers
        )
        self.minimum = int(document.tier_minimum.removesuffix("%")) / 100
        self.gives_to_others = document.when_empty == OTHERS
        self.needs_health = document.when_all_unhealthy != TRY
        self.cookie = _cookie(document.sticky) if document.sticky is not None else None
        self.retried = (
            RETRIED if document.retries is None else frozenset(each.encode() for each in document.retries.methods)
        )
        self.testers = (
            Testers(document.testers, self.names, sources_of_testers) if document.testers is not None else None
        )
        self.is_by_address = document.sticky is not None and self.cookie is None
        shares = [[share.selector, share.weight, share.tier] for share in document.split]
        self.text = msgspec.json.encode(document)
        self.has_told_unmatched = False
        guard = document.guard
        self.guarded = self.index(guard.selector) if guard is not None else None
        self.limits = _limits(guard) if guard is not None else None
        self.takes_back = guard is not None and guard.on_worse == BACK
        self.shifted: tuple[int, int] | None = None
        self.taken: tuple[int, int] | None = None
        self.digest = sha256(msgspec.json.encode([self.hostname, shares])).hexdigest()[:32]

    def share_of(self, labels: Mapping[str, str]) -> int | None:
        """Return the share that a tunnel with such labels belongs to: the first that matches; None: it gets nothing."""
        key = tuple(map(labels.get, self._keys))
        if key not in self._known:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            shares = enumerate(self._selectors) if not self.is_of_shadow(labels) else ()
            found = (index for index, selector in shares if selector.matches(labels))
            self._known[key] = next(found, None)
        return self._known[key]

    def is_of_shadow(self, labels: Mapping[str, str]) -> bool:
        """Whether a tunnel with such labels belongs to no share, as it gets copies only."""
        return self.mirror is not None and self.mirror.owns(labels)

    def index(self, selector: str) -> int | None:
        """Return the share with a selector, however it is written; None if there is none."""
        wanted = LabelSelector.parse(selector)
        return next((at for at, each in enumerate(self._selectors) if each == wanted), None)

    def may_be_chosen(self, share: int) -> bool:
        """Whether a tester who chooses a share gets it: not what its guard took back, unless the document says so."""
        taken_back = self.taken is not None and self.taken[0] == share
        return not taken_back or (self.testers is not None and self.testers.may_take_back)

    def heir(self, share: int) -> int | None:
        """Return who gets what is taken from a share: of its tier the one with most weight; None: there is nobody."""
        tier = next(members for members in self.tiers if share in members)
        others = [at for at in tier if at != share and self.document.split[at].weight]
        return max(others, key=lambda at: self.document.split[at].weight, default=None)

    def layout(self, tier: int) -> Layout:
        """
        Lay out the shares of one tier; the others get nothing. A shift counts if its share is of this tier, and so
        does what was taken back.

        :param tier: an index into `tiers`.
        """
        members, shifted = self.tiers[tier], self.shifted
        weights = [share.weight if index in members else 0 for index, share in enumerate(self.document.split)]
        taken = self.taken
        return Layout(
            weights,
            shifted if shifted is not None and shifted[0] in members else None,
            taken if taken is not None and taken[0] in members else None,
        )

    def tier(self, healthy: Sequence[int], all_: Sequence[int]) -> int:
        """
        Return the index of the tier to use.

        :param healthy: how many healthy tunnels each share has.
        :param all_: how many tunnels each share has.
        :returns: the first tier that is healthy enough; else the first with a healthy tunnel; else the first.
        """
        best = None
        for index, members in enumerate(self.tiers):
            usable = [share for share in members if self.document.split[share].weight]
            good = sum(healthy[share] for share in usable)
            if good and good >= self.minimum * sum(all_[share] for share in usable):
                return index
            if good and best is None:
                best = index
        return best or 0


def _limits(guard: GuardDocument) -> Limits:
    return Limits(
        error_ratio=parse_ratio(guard.error_ratio),
        p99=parse_times(guard.p99) if guard.p99 is not None else None,
        seconds=guard.seconds,
        minimum=guard.minimum,
    )


def _cookie(sticky: Sticky) -> StickyCookie | None:
    if sticky.cookie is None:
        return None
    seconds = int(parse_duration(sticky.ttl or DEFAULT_TTL))
    same_site = f"; SameSite={(sticky.same_site or 'lax').capitalize()}"
    common = f"; Path=/; Max-Age={seconds}; HttpOnly"
    # RFC 6265bis §5.7: "None" without Secure has the cookie refused; without the attribute it is as good as Lax.
    plain = common if sticky.same_site == "none" else common + same_site
    name = sticky.cookie.encode("ascii")
    secure = f"{common}{same_site}; Secure"
    return StickyCookie(name, usual_form(name), seconds, plain.encode("ascii"), secure.encode("ascii"))

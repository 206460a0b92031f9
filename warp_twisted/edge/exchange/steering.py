"""
Which tunnels one request to a split hostname may go to: by the draw that its visitor carries, or a new one.

Stands between an exchange and `routes.splitting`: it knows the cookie in the request and in the answer. It must not
know when a request is sent, nor whether again.
"""

from collections.abc import Collection, Sequence
from secrets import randbits

from warp_twisted.edge.exchange.answer import Answer
from warp_twisted.edge.exchange.interfaces import Asker, Visitor
from warp_twisted.edge.routes.members import ANY_STREAM
from warp_twisted.edge.routes.pool import Borrower, OriginStream
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.edge.routes.splitting import RouteSplit, ShareMembers
from warp_twisted.http1.request import RequestHead
from warp_twisted.names import shown_selector
from warp_twisted.policy.interfaces import Identity
from warp_twisted.routing.cookies import CookieKeys, Kept, address_draw, take_cookies
from warp_twisted.routing.layout import NOBODY
from warp_twisted.routing.split import StickyCookie


class Steering:
    """
    The way of one request.

    :ivar head: without the cookie, and what chooses a share, which are nobody's business but the edges'.
    :ivar share: that served it last; None before.
    :ivar chosen: the share that a tester asked for, or `NOBODY`; its visitor's draw and cookie stay as they are.
    :ivar retried: methods whose requests may be sent again.
    :ivar is_copied: whether a copy went to a shadow.
    """

    share: ShareMembers | None = None
    is_copied = False
    chosen = NOBODY
    _kept: Kept | None = None
    _keeping: tuple[CookieKeys, StickyCookie] | None = None

    def __init__(
        self,
        split: RouteSplit,
        visitor: Visitor,
        asker: Asker,
        head: RequestHead,
        answer: Answer,
        identities: Sequence[Identity] = (),
    ) -> None:
        """
        Find out where a request belongs.

        :param identities: that were proven with it.
        """
        self._split = split
        self._visitor = visitor
        self._asker = asker
        self._answer = answer
        self.head = head
        rules = split.split
        self.retried = rules.retried
        if rules.testers is not None:
            chosen, lines = rules.testers.choose(head.lines, asker.source, identities)
            if lines is not head.lines:
                self.head = head = _with_lines(head, lines)
            if chosen != NOBODY and rules.may_be_chosen(chosen):
                self.chosen = chosen
        cookie = rules.cookie
        if cookie is not None:
            values, lines = take_cookies(head.lines, cookie.name, cookie.usual)
            if values:
                self.head = _with_lines(head, lines)
            keys = visitor.visitors.routes.splitting.cookie_keys
            if keys is not None:
                self._keeping = keys, cookie
                for value in values:
                    kept = self._kept = keys.read(head.fields.host, cookie.name, value)
                    if kept is not None:
                        self._draw = kept.draw
                        return
        elif rules.is_by_address:
            self._draw = address_draw(head.fields.host, asker.network)
            return
        # A tester's request takes no draw from the sequence, so the parts of all others stay exact.
        self._draw = split.draws.next() if self.chosen == NOBODY else randbits(64)

    @property
    def tester(self) -> str:
        """The share that a tester asked for, as people are shown it; empty if nobody did."""
        return shown_selector(self._split.split.names[self.chosen]) if self.chosen != NOBODY else ""

    @property
    def shadow(self) -> Shadow | None:
        """Who gets copies of some of the hostname's requests."""
        return self._split.shadow

    @property
    def copied_to(self) -> str:
        """The selector of the shadow that a copy went to; empty if none did."""
        shadow = self._split.shadow if self.is_copied else None
        return shadow.mirror.selector if shadow is not None else ""

    def is_by(self, split: RouteSplit) -> bool:
        """Whether this split says where the request goes."""
        return self._split is split

    def borrow(
        self,
        receiver: Borrower,
        avoid: Collection[object] = (),
        *,
        used_after: float = ANY_STREAM,
        only_trusted: bool = False,
    ) -> OriginStream:
        """Lend a stream as `Members.borrow` does, and have the answer tell the visitor where it belongs."""
        kept = self._kept
        origin, share, is_own = self._split.borrow(
            receiver,
            self._draw,
            kept.agent if kept is not None else 0,
            avoid,
            used_after=used_after,
            only_trusted=only_trusted,
            chosen=self.chosen,
        )
        self.share = share
        keeping = self._keeping
        if keeping is not None and self.chosen == NOBODY:
            now = self._visitor.visitors.wall.now()
            # Written anew in half of its time, so that a visitor who comes back in less than that stays.
            is_good = (
                kept is not None and is_own and kept.is_current and abs(now - kept.set_at) < keeping[1].ttl_seconds / 2
            )
            if not is_good:
                self._answer.own_lines = self._cookie_line(
                    *keeping, share.number_of(origin.member.load.tunnel.agent), now
                )
            elif self._answer.own_lines:
                self._answer.own_lines = b""  # it was sent before to an agent that lost it
        return origin

    def _cookie_line(self, keys: CookieKeys, cookie: StickyCookie, agent: int, now: float) -> bytes:
        value = keys.written(self.head.fields.host, cookie.name, self._draw, agent, now)
        attributes = cookie.secure if self._asker.scheme == "https" else cookie.plain
        return b"Set-Cookie: %b=%b%b\r\n" % (cookie.name, value, attributes)


def _with_lines(head: RequestHead, lines: bytes) -> RequestHead:
    return RequestHead(head.method, head.target, head.size, head.fields, lines, head.accept)

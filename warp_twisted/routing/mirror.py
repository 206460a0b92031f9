"""
Which requests of a split hostname are copied to a shadow, and which tunnels are its own.

Pure: labels, methods and draws come in. The parts are as exact as those of shares, as they come from a sequence of the
same kind: of any number of requests that may be copied, `percent` are, give or take a handful.
"""

from collections.abc import Mapping, Sequence

from warp_twisted.names import LabelSelector
from warp_twisted.policy.document.mirror import Mirror as MirrorDocument
from warp_twisted.routing.draws import HALF, RANGE

# RFC 9110 §9.2.1 calls these safe: a shadow that shares a database with the others changes nothing by them.
COPIED = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Mirror:
    """
    The mirror of one split.

    :ivar selector: as it is written.
    :ivar percent: of the requests that may be copied.
    :ivar share: the index of the share whose tunnels get copies; None: the shadow has tunnels of its own.
    :ivar keys: of labels that are asked for.
    """

    def __init__(self, document: MirrorDocument, selectors: Sequence[LabelSelector]) -> None:
        """
        Compile.

        :param selectors: of the shares.
        """
        self._parsed = LabelSelector.parse(document.selector)
        self.selector = " ".join(document.selector.split())
        self.percent = document.percent
        self.share = next((at for at, each in enumerate(selectors) if each == self._parsed), None)
        self.keys = frozenset(each.key for each in self._parsed.requirements)
        self._bound = round(RANGE * document.percent / 100)

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Whether a tunnel with such labels belongs to the shadow alone."""
        return self.share is None and self._parsed.matches(labels)

    def takes(self, draw: int) -> bool:
        """Whether the request of a draw is copied."""
        return draw >> HALF < self._bound

"""
How much of one HTTP message is read before it is refused.

Precedents for the defaults: of a request nginx reads 32 KiB of head, Apache 8 KiB a line and 100 fields, Node 16 KiB of
head; of a response curl reads 300 KiB of head, Firefox 384 KiB, Node 16 KiB.
"""

import msgspec


class HeadLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Bounds on a head.

    :param head_bytes: request or status line, fields and the empty line, together.
    :param header_count: field lines.
    :param target_bytes: the request target alone.
    """

    head_bytes: int = 16_384
    header_count: int = 100
    target_bytes: int = 8_192


class ResponseRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is taken from an origin as a response head.

    :param head_bytes: status line, fields and the empty line, together.
    :param header_count: field lines.
    :param bare_lf: whether a line may end with LF alone, as old origins have it.
    """

    head_bytes: int = 65_536
    header_count: int = 1_000
    bare_lf: bool = False


class BodyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Bounds on a body.

    :param body_bytes: payload in all; 0 sets no bound.
    :param trailer_bytes: the trailer section, its line ends included.
    :param trailer_count: trailer lines.
    :param extension_bytes: chunk extensions of the whole body, together.
    """

    body_bytes: int = 0
    trailer_bytes: int = 8_192
    trailer_count: int = 32
    extension_bytes: int = 16_384

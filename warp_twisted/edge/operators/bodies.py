"""The bodies of calls: JSON of a known shape, bounded."""

from typing import Any

import msgspec
from twisted.web.http import Request

MAX_BODY_BYTES = 65536


def read_body(request: Request, kind: Any, max_bytes: int = MAX_BODY_BYTES) -> Any:
    """
    Read a body; an empty one is an empty object.

    :raises ValueError: if it is too long, or of another shape.
    """
    content = request.content
    text = b""
    if content is not None:
        content.seek(0)
        text = content.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise ValueError(f"the body has more than {max_bytes} bytes")
    try:
        return msgspec.json.decode(text or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"body: {error}") from error

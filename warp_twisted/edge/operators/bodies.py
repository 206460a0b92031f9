"""The bodies of calls: JSON of a known shape, bounded."""

from typing import Any

import msgspec
from twisted.web.http import Request

MAX_BODY_BYTES = 65536


def read_body(request: Request, kind: Any) -> Any:
    """
    Read a body; an empty one is an empty object.

    :raises ValueError: if it is too long, or of another shape.
    """
    content = request.content
    text = b""
    if content is not None:
        content.seek(0)
        text = content.read(MAX_BODY_BYTES + 1)
    if len(text) > MAX_BODY_BYTES:
        raise ValueError(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(text or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"body: {error}") from error

"""An origin that says where a path leads, by what WSGI applications make of it; a gunicorn of any version runs it."""

import json
import posixpath


def application(environ, start_response):  # type: ignore[no-untyped-def]  # Debian's Python runs it, without our types
    """Answer with the paths."""
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([path, posixpath.normpath(path), environ["RAW_URI"].split("?")[0]]).encode()]

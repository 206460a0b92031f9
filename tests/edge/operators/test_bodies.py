"""Tests of the bodies of calls."""

from io import BytesIO
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from warp_twisted.edge.operators.bodies import MAX_BODY_BYTES, read_body


class BodyTests(SynchronousTestCase):
    """`read_body`."""

    def read(self, text: bytes) -> Any:
        """Read a body that must be an object of numbers."""
        request: Any = DummyRequest([])
        request.content = BytesIO(text)
        return read_body(request, dict[str, int])

    def test_shape(self) -> None:
        """An empty body is an empty object; another shape is refused with its place."""
        self.assertEqual((self.read(b""), self.read(b'{"a": 1}')), ({}, {"a": 1}))
        error = self.assertRaises(ValueError, self.read, b'{"a": "x"}')
        self.assertIn("body: Expected `int`, got `str` - at `$[...]`", str(error))

    def test_bound(self) -> None:
        """A long body is refused before it is decoded."""
        error = self.assertRaises(ValueError, self.read, b" " * (MAX_BODY_BYTES + 1))
        self.assertIn("more than 65536 bytes", str(error))

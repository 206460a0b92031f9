"""An edge's admin interface that answers what it was told to, and remembers what it was asked."""

from collections.abc import Mapping

from warp_twisted.cli.errors import EdgeRefused


class FakeAdmin:
    """
    Stands in for `cli.operate.admin.Admin`.

    :ivar answers: `METHOD /path` → the answer; everything else is refused as an edge does.
    :ivar asked: (`METHOD /path`, body) of each call.
    """

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, object]] = []

    def get(self, *target: str) -> object:
        """Answer a GET."""
        return self._answer("GET", target, None)

    def post(
        self, *target: str, body: object = None, query: Mapping[str, str] | None = None, text: bytes | None = None
    ) -> object:
        """Answer a POST; with a query its body is noted as the query and the text."""
        return self._answer("POST", target, body if query is None else (query, text))

    def delete(self, *target: str, body: object = None) -> object:
        """Answer a DELETE."""
        return self._answer("DELETE", target, body)

    def _answer(self, method: str, target: tuple[str, ...], body: object) -> object:
        call = f"{method} /{'/'.join(target)}"
        self.asked.append((call, body))
        if call not in self.answers:
            raise EdgeRefused(f"no such thing: {call}")
        return self.answers[call]

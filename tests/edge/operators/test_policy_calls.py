"""Tests of `warp_twisted.edge.operators.policy_calls`; the applications behind them are a fake."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyChannel, DummyRequest

from warp_twisted.edge.operators.policy_calls import MAX_MESSAGE, PolicyCalls
from warp_twisted.edge.operators.sites import answer
from warp_twisted.edge.policy.delivery.applying import Application, Applied
from warp_twisted.registry.model import PolicyVersion

VERSION = PolicyVersion(number=7, sha256="ab", size_bytes=5, author="ann", message="why")


class FakeApplications:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.shown: tuple[PolicyVersion, bytes] | None = (VERSION, "grün".encode())

    def history(self) -> Sequence[PolicyVersion]:
        """Return one."""
        return [VERSION]

    async def show(self, number: int = 0) -> tuple[PolicyVersion, bytes] | None:
        """Return it."""
        self.asked.append(number)
        return self.shown

    async def apply(self, text: bytes, name: str, wish: Application) -> Applied:
        """Note it."""
        self.asked.append((text, name, wish))
        return Applied(changed=True, version=8, replaced=7)

    async def back(self, number: int, wish: Application) -> Applied:
        """Note it."""
        self.asked.append((number, wish))
        return Applied(changed=True, version=8, replaced=7, restores=number)


class PolicyCallsTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        self.applications = FakeApplications()
        self.calls = {f"{method} {path}": function for method, path, function in PolicyCalls(self.applications).calls()}

    def call(
        self, call: str, body: bytes = b"", *arguments: str, query: Mapping[str, str] = MappingProxyType({})
    ) -> Any:
        """Make a call, and return what it answers."""
        request: Any = DummyRequest([])
        request.channel = DummyChannel()
        request.content = BytesIO(body)
        request.args = {key.encode(): [value.encode()] for key, value in query.items()}
        result = self.calls[call](request, *arguments)
        if not isinstance(result, list):

            async def wait() -> object:
                return await result

            result = self.successResultOf(Deferred.fromCoroutine(wait()))
        return json.loads(answer(request, result))

    def test_shown(self) -> None:
        """A version is told with its text; that there is none is told, too."""
        for name, arguments, number in (("GET /v1/policy", [], 0), ("GET /v1/policy/versions/<number>", ["7"], 7)):
            shown = self.call(name, b"", *arguments)
            self.assertEqual((shown["number"], shown["text"], shown["author"]), (7, "grün", "ann"))
            self.assertEqual(self.applications.asked.pop(), number)
        self.assertEqual([each["number"] for each in self.call("GET /v1/policy/versions")], [7])
        self.applications.shown = None
        self.assertEqual(self.call("GET /v1/policy"), {"number": 0, "text": ""})

    def test_applied(self) -> None:
        """Text, name and conditions reach the edge."""
        self.assertEqual(self.call("POST /v1/policy", b"rules: []")["version"], 8)
        query = {"name": "p.yaml", "message": "für alle", "if_version": "0", "check": "1", "beside_file": "1"}
        self.call("POST /v1/policy", query=query)
        self.call("POST /v1/policy/back", query={"version": "3", "check": "0"})
        self.call("POST /v1/policy/back", query={"if_version": "12"})
        self.assertEqual(
            self.applications.asked,
            [
                (b"rules: []", "the policy", Application()),
                (b"", "p.yaml", Application(message="für alle", if_version=0, is_check=True, beside_file=True)),
                (3, Application()),
                (0, Application(if_version=12)),
            ],
        )

    @given(
        st.dictionaries(st.sampled_from(["if_version", "version", "message", "name", "check"]), st.binary(max_size=20))
    )
    def test_any_query(self, query: dict[str, bytes]) -> None:
        """Whatever is asked is understood, or refused as what it is; a number is never a guess."""
        self.applications.asked.clear()
        request: Any = DummyRequest([])
        request.channel, request.content = DummyChannel(), BytesIO()
        request.args = {key.encode(): [value] for key, value in query.items()}
        try:
            call = self.calls["POST /v1/policy/back"](request)
        except ValueError:
            self.assertEqual(self.applications.asked, [])
            return
        self.successResultOf(Deferred.fromCoroutine(call))
        asked_for: Any = self.applications.asked[0]
        number, wish = asked_for
        for name, asked in (("version", number or None), ("if_version", wish.if_version)):
            self.assertEqual(query.get(name, b"").decode().lstrip("0") or "0", str(asked or 0))

    def test_bad_queries(self) -> None:
        """What is no number, or too long, is refused before anything is asked."""
        for name, query in (
            ("POST /v1/policy", {"if_version": "-1"}),
            ("POST /v1/policy", {"if_version": "٣"}),
            ("POST /v1/policy", {"if_version": "9" * 16}),
            ("POST /v1/policy", {"message": "x" * (MAX_MESSAGE + 1)}),
            ("POST /v1/policy/back", {"version": "0"}),
        ):
            with self.assertRaises(ValueError):
                self.call(name, query=query)
        with self.assertRaises(ValueError):
            self.call("GET /v1/policy/versions/<number>", b"", "x")
        self.assertEqual(self.applications.asked, [])

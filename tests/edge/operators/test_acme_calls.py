"""Tests of the calls about certificates that are ordered; what is behind them is a fake."""

import json
from io import BytesIO
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from warp_twisted.acme.door import Account, Certificate, Order, Settings, View
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.operators.acme_calls import MAX_CERTIFICATE_BYTES, AcmeCalls

VIEW = View(edge="edge1", zone="a.example", nameservers=(), wanted=(("a.example",),), settings=Settings(directory="x"))
ORDER = {"name": "*.a.example", "names": ["*.a.example"]}


class FakeKept:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.is_free = True

    async def view(self) -> View:
        """Return what there is."""
        return VIEW

    async def keep_account(self, account: Account) -> None:
        """Note it."""
        self.asked.append(account)

    async def keep_order(self, order: Order) -> None:
        """Note it."""
        self.asked.append(order)

    async def take_certificate(self, name: str, certificate: Certificate) -> None:
        """Note it."""
        self.asked.append((name, certificate.chain))

    def chain(self, name: str) -> str:
        """Return one."""
        return f"chain of {name}"

    async def lock(self, holder: str, seconds: float) -> bool:
        """Return what the test says."""
        self.asked.append((holder, seconds))
        return self.is_free


class FakeOrdering:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.kept = FakeKept()
        self.wishes: list[tuple[str, str]] = []

    def described(self) -> object:
        """Describe nothing."""
        return {"certificates": []}

    async def renew(self, name: str) -> object:
        """Note it."""
        self.wishes.append(("renew", name))
        return []

    async def revoke(self, name: str) -> object:
        """Note it."""
        self.wishes.append(("revoke", name))
        return {}


class AcmeCallsTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        self.ordering = FakeOrdering()
        self.functions = {(method, path): call for method, path, call in AcmeCalls(self.ordering).calls()}

    def begin(self, method: str, path: str, body: object = None, **arguments: str) -> Deferred[Any]:
        """Make a call."""
        request: Any = DummyRequest([b""])
        request.content = BytesIO(json.dumps(body).encode() if body is not None else b"")
        result = maybeDeferred(self.functions[method, path], request, **arguments)
        return result.addCallback(lambda made: Deferred.fromCoroutine(made) if hasattr(made, "send") else made)

    def call(self, method: str, path: str, body: object = None, **arguments: str) -> Any:
        """Return the answer to a call."""
        return self.successResultOf(self.begin(method, path, body, **arguments))

    def test_the_door(self) -> None:
        """What the issuing process says and hears is as `acme.door` has it."""
        view = self.call("GET", "/v1/acme")
        self.assertEqual(msgspec.convert(view, View), VIEW)
        self.call("PUT", "/v1/acme/account", {"directory": "d", "secret": "s"})
        self.call("PUT", "/v1/acme/orders/<name>", ORDER, name="*.a.example")
        certificate = {"chain": "c", "key": "k", "order": ORDER}
        self.call("PUT", "/v1/certificates/<name>", certificate, name="*.a.example")
        self.assertEqual(
            self.ordering.kept.asked,
            [
                Account(directory="d", secret="s"),
                Order(name="*.a.example", names=("*.a.example",)),
                ("*.a.example", "c"),
            ],
        )
        self.assertEqual(self.call("GET", "/v1/certificates/<name>", name="a"), {"chain": "chain of a"})

    def test_the_lock(self) -> None:
        """Who does not get it is told so."""
        body = {"holder": "edge1", "seconds": 30}
        self.assertEqual(self.call("PUT", "/v1/acme/lock", body), {})
        self.ordering.kept.is_free = False
        self.failureResultOf(self.begin("PUT", "/v1/acme/lock", body), EdgeError)
        self.assertEqual(self.ordering.kept.asked, [("edge1", 30.0)] * 2)

    def test_wishes(self) -> None:
        """One is renewed, or all; one is revoked."""
        self.call("POST", "/v1/certificates/renew", {"name": "a.example"})
        self.call("POST", "/v1/certificates/renew")
        self.call("POST", "/v1/certificates/revoke", {"name": "a.example"})
        self.failureResultOf(self.begin("POST", "/v1/certificates/revoke"), ValueError)
        self.assertEqual(self.ordering.wishes, [("renew", "a.example"), ("renew", ""), ("revoke", "a.example")])
        self.assertEqual(self.call("GET", "/v1/certificates"), {"certificates": []})

    def test_what_is_refused(self) -> None:
        """Another shape, another name, or too much is no order."""
        for path, body in (
            ("/v1/acme/orders/<name>", ORDER | {"name": "b.example"}),
            ("/v1/acme/orders/<name>", ORDER | {"more": 1}),
            ("/v1/certificates/<name>", {"chain": "x" * MAX_CERTIFICATE_BYTES, "key": "", "order": ORDER}),
        ):
            self.failureResultOf(self.begin("PUT", path, body, name="*.a.example"), ValueError)
        self.assertEqual(self.ordering.kept.asked, [])

    def test_not_here(self) -> None:
        """An edge without `acme` says so to each call."""
        self.functions = {(method, path): call for method, path, call in AcmeCalls(None).calls()}
        bodies: dict[str, object] = {
            "PUT /v1/acme/lock": {"holder": "a", "seconds": 1},
            "PUT /v1/acme/account": {"directory": "d"},
            "PUT /v1/acme/orders/<name>": ORDER,
            "PUT /v1/certificates/<name>": {"chain": "", "key": "", "order": ORDER},
        }
        for method, path in self.functions:
            arguments = {"name": "*.a.example"} if "<name>" in path else {}
            body = bodies.get(f"{method} {path}", {"name": "a"})
            failure = self.failureResultOf(self.begin(method, path, body, **arguments), EdgeError)
            self.assertIn("edge.yaml has no acme", str(failure.value))

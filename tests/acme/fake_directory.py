"""
An ACME directory for tests, as a state and its answers: accounts with EAB, orders, proofs, ARI and what it replaces.

A second reading of RFC 8555 and RFC 9773, which shares no code with what it tests but the library that verifies
signatures. It has no sockets: `fake_directory_server` serves it, and breaks it.
"""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.acme.issuing_authority import IssuingAuthority

_PREFIX = "urn:ietf:params:acme:error:"
_CURVE_BYTES = 32


@dataclass
class Answer:
    """An answer of the directory; `body` is sent as JSON unless it is bytes."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def problem(kind: str, detail: str, status: int = 400, **more: Any) -> Answer:
    """Return a problem document (RFC 8555, 6.7)."""
    body = {"type": _PREFIX + kind, "detail": detail, "status": status, **more}
    return Answer(status, body, {"Content-Type": "application/problem+json"})


class Refused(Exception):
    """A request is answered with a problem."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


@dataclass
class FakeOrder:
    """An order with its proofs; `polls` is how often it still says `processing` once it is finalized."""

    names: list[str]
    account: str
    replaces: str | None
    profile: str | None
    status: str = "pending"
    chain: str = ""
    polls: int = 0


class FakeDirectory:
    """
    The directory.

    :ivar base: the URL that it is served at, without a slash at the end.
    :ivar validate: says whether a name is proved, of its kind, name, token and what is to be found.
    :ivar external: key identifier → HMAC key, of accounts that new ones must be bound to; empty: none.
    :ivar orders: URL → order. `done`: resource → how often it was asked.
    :ivar window: beginning and end that it suggests for renewals, in the form of RFC 3339; None: it has no ARI.
    """

    def __init__(self, base: str, validate: Callable[[str, str, str, str], bool]) -> None:
        self.base = base
        self.validate = validate
        self.authority = IssuingAuthority()
        self.external: dict[str, bytes] = {}
        self.profiles: dict[str, str] = {}
        self.window: tuple[str, str] | None = None
        self.retry_window = 3600
        self.processing_polls = 0
        self.accounts: dict[str, Any] = {}  # URL → JWK
        self.contacts: dict[str, list[str]] = {}
        self.orders: dict[str, FakeOrder] = {}
        self.proofs: dict[str, dict[str, Any]] = {}
        self.revoked: list[int] = []
        self.replaced: set[str] = set()
        self.done: dict[str, int] = {}
        self._nonces: set[str] = set()
        self._numbers = itertools.count(1)

    def nonce(self) -> str:
        """Return a new nonce."""
        nonce = base64.urlsafe_b64encode(f"nonce-{next(self._numbers):08}".encode()).rstrip(b"=").decode()
        self._nonces.add(nonce)
        return nonce

    def answer(self, method: str, path: str, content: bytes) -> Answer:
        """Answer a request."""
        resource, _, name = path.strip("/").partition("/")
        self.done[resource] = self.done.get(resource, 0) + 1
        try:
            if method == "GET" and resource == "directory":
                return Answer(200, self._directory())
            if method in ("GET", "HEAD") and resource == "newNonce":
                return Answer(200, b"")
            if method == "GET" and resource == "renewalInfo" and self.window:
                window = {"start": self.window[0], "end": self.window[1]}
                return Answer(200, {"suggestedWindow": window}, {"Retry-After": str(self.retry_window)})
            if method != "POST":
                return problem("malformed", "no such resource", 404)
            return self._posted(resource, name, json.loads(content))
        except Refused as refused:
            return refused.answer

    def _directory(self) -> dict[str, Any]:
        names = ["newNonce", "newAccount", "newOrder", "revokeCert"] + (["renewalInfo"] if self.window else [])
        meta = {
            "caaIdentities": ["fake.example"],
            "externalAccountRequired": bool(self.external),
            "profiles": self.profiles,
        }
        return {**{name: f"{self.base}/{name}" for name in names}, "meta": meta}

    def _posted(self, resource: str, name: str, sent: Mapping[str, str]) -> Answer:
        protected = json.loads(_decoded(sent["protected"]))
        url = f"{self.base}/{resource}" + (f"/{name}" if name else "")
        if protected["nonce"] not in self._nonces:
            raise Refused(problem("badNonce", "this nonce is not known"))
        self._nonces.remove(protected["nonce"])
        if protected["url"] != url:
            raise Refused(problem("unauthorized", "the URL is another one", 403))
        account = protected.get("kid", "")
        if account and account not in self.accounts:
            raise Refused(problem("accountDoesNotExist", "no such account"))
        key = self.accounts[account] if account else protected["jwk"]
        _verify(key, sent)
        payload = json.loads(_decoded(sent["payload"])) if sent["payload"] else None
        match resource:
            case "newAccount":
                return self._new_account(key, payload)
            case "newOrder":
                return self._new_order(account, payload)
            case "order":
                return self._order_answer(url)
            case "authorization":
                return Answer(200, self._authorization(name))
            case "challenge":
                return self._challenge(name, payload, key)
            case "finalize":
                return self._finalize(name, payload)
            case "certificate":
                chain = self.orders[f"{self.base}/order/{name}"].chain
                return Answer(200, chain.encode(), {"Content-Type": "application/pem-certificate-chain"})
            case "revokeCert":
                return self._revoke(payload)
        return problem("malformed", "no such resource", 404)

    def _new_account(self, key: Any, payload: Any) -> Answer:
        found = next((url for url, each in self.accounts.items() if each == key), None)
        if found is None and self.external:
            self._check_binding(key, payload.get("externalAccountBinding"))
        url = found or f"{self.base}/account/{next(self._numbers)}"
        self.accounts[url] = key
        self.contacts[url] = payload.get("contact", [])
        return Answer(200 if found else 201, {"status": "valid"}, {"Location": url})

    def _check_binding(self, key: Any, binding: Any) -> None:
        if binding is None:
            raise Refused(problem("externalAccountRequired", "bind the account to one of ours", 403))
        protected = json.loads(_decoded(binding["protected"]))
        secret = self.external.get(protected["kid"])
        signed = f"{binding['protected']}.{binding['payload']}".encode()
        is_right = secret is not None and hmac.compare_digest(
            hmac.digest(secret, signed, "sha256"), _decoded(binding["signature"])
        )
        if not is_right or json.loads(_decoded(binding["payload"])) != key:
            raise Refused(problem("unauthorized", "the binding is not right", 403))

    def _new_order(self, account: str, payload: Any) -> Answer:
        names = [each["value"] for each in payload["identifiers"]]
        replaces, profile = payload.get("replaces"), payload.get("profile")
        if replaces in self.replaced:
            raise Refused(problem("alreadyReplaced", "the certificate is replaced already", 409))
        if profile and profile not in self.profiles:
            raise Refused(problem("invalidProfile", f"no profile {profile!r}"))
        if replaces:
            self.replaced.add(replaces)
        number = str(next(self._numbers))
        url = f"{self.base}/order/{number}"
        self.orders[url] = FakeOrder(names, account, replaces, profile, polls=self.processing_polls)
        for index, name in enumerate(names):
            self.proofs[f"{number}-{index}"] = {"name": name, "status": "pending", "error": None}
        return Answer(201, self._order_answer(url).body, {"Location": url})

    def _order_answer(self, url: str) -> Answer:
        order = self.orders.get(url)
        if order is None:
            raise Refused(problem("malformed", "no such order", 404))
        number = url.rpartition("/")[2]
        proofs = [f"{number}-{index}" for index in range(len(order.names))]
        statuses = {self.proofs[each]["status"] for each in proofs}
        if order.status == "pending":
            order.status = "invalid" if "invalid" in statuses else "ready" if statuses == {"valid"} else "pending"
        elif order.status == "processing" and order.polls == 0:
            order.status = "valid"
        order.polls = max(order.polls - (order.status == "processing"), 0)
        body = {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [f"{self.base}/authorization/{each}" for each in proofs],
            "finalize": f"{self.base}/finalize/{number}",
        }
        if order.status == "valid":
            body["certificate"] = f"{self.base}/certificate/{number}"
        return Answer(200, body)

    def _authorization(self, number: str) -> dict[str, Any]:
        proof = self.proofs[number]
        name = proof["name"].removeprefix("*.")
        kinds = ["dns-01"] if proof["name"].startswith("*.") else ["dns-01", "http-01"]
        return {
            "status": proof["status"],
            "identifier": {"type": "dns", "value": name},
            "challenges": [self._challenge_body(number, kind) for kind in [*kinds, "of-later-01"]],
        }

    def _challenge_body(self, number: str, kind: str) -> dict[str, Any]:
        error = self.proofs[number]["error"]
        body = {
            "type": kind,
            "url": f"{self.base}/challenge/{number}-{kind}",
            "token": _token(number),
            "status": self.proofs[number]["status"],
        }
        return body if error is None else {**body, "error": error}

    def _challenge(self, name: str, payload: Any, key: Any) -> Answer:
        order, index, kind = name.split("-", 2)
        number = f"{order}-{index}"
        proof, token = self.proofs[number], _token(number)
        if payload is not None and proof["status"] == "pending":
            thumbprint = hashlib.sha256(json.dumps(key, sort_keys=True, separators=(",", ":")).encode()).digest()
            found = f"{token}.{_encoded(thumbprint)}"
            wanted = found if kind == "http-01" else _encoded(hashlib.sha256(found.encode()).digest())
            if self.validate(kind, proof["name"].removeprefix("*."), token, wanted):
                proof["status"] = "valid"
            else:
                proof["status"] = "invalid"
                proof["error"] = problem("unauthorized", "the value was not found", 403).body
        up = {"Link": f'<{self.base}/authorization/{number}>;rel="up"'}
        return Answer(200, self._challenge_body(number, kind), up)

    def _finalize(self, number: str, payload: Any) -> Answer:
        order = self.orders[f"{self.base}/order/{number}"]
        if order.status != "ready":
            raise Refused(problem("orderNotReady", f"the order is {order.status}", 403))
        request = x509.load_der_x509_csr(_decoded(payload["csr"]))
        order.chain = self.authority.issue(request)
        order.status = "processing"
        return self._order_answer(f"{self.base}/order/{number}")

    def _revoke(self, payload: Any) -> Answer:
        serial = x509.load_der_x509_certificate(_decoded(payload["certificate"])).serial_number
        if serial in self.revoked:
            raise Refused(problem("alreadyRevoked", "the certificate is revoked"))
        self.revoked.append(serial)
        return Answer(200, b"")


def _token(number: str) -> str:
    return _encoded(hashlib.sha256(f"token {number}".encode()).digest())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verify(key: Mapping[str, str], sent: Mapping[str, str]) -> None:
    x, y = (int.from_bytes(_decoded(key[part]), "big") for part in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    raw = _decoded(sent["signature"])
    r, s = int.from_bytes(raw[:_CURVE_BYTES], "big"), int.from_bytes(raw[_CURVE_BYTES:], "big")
    try:
        public.verify(encode_dss_signature(r, s), f"{sent['protected']}.{sent['payload']}".encode(), ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise Refused(problem("unauthorized", "the signature is not right", 403)) from error

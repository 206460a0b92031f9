"""
A certificate authority, as the issuing process asks it: the library's messages behind plain values and our errors.

Every call blocks, for as long as `network` allows. Nothing is decided here, and nothing is kept.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import field
from josepy.jwk import JWKEC

from warp_twisted.acme.door import ExternalAccount
from warp_twisted.acme.errors import AuthorityAway, AuthorityFailed, CannotOrder
from warp_twisted.acme.network import BoundedNetwork, Unusable
from warp_twisted.acme.problems import kind_of, sentence

MAX_AUTHORIZATIONS = 200  # of one order; there are no more names than `door.MAX_NAMES`
MAX_HMAC_KEY_BYTES = 4096


class ReplacingOrder(messages.NewOrder):
    """
    The library's order, extended by what it replaces (RFC 9773, 5).

    :ivar replaces: the identifier of the certificate that this one takes the place of.
    """

    replaces: str | None = field("replaces", omitempty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """
    What the authority says of an order (RFC 8555, 7.1.3).

    :ivar authorizations: URLs.
    :ivar certificate: a URL, or empty while there is none.
    :ivar error: why it is invalid, if it says so.
    :ivar retry_seconds: before it is to be asked again; 0 for nothing.
    """

    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str
    error: AuthorityFailed | None
    retry_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """
    One way to prove a name.

    :ivar name: the identifier, without `*.`.
    :ivar value: what is published as TXT (dns-01), or what is answered for the token (http-01).
    :ivar is_open: whether the authority was not told yet that it may look.
    """

    kind: Literal["dns-01", "http-01"]
    name: str
    token: str
    value: str
    is_open: bool
    body: messages.ChallengeBody


@dataclass(frozen=True, slots=True, kw_only=True)
class NameState:
    """What the authority says of a name that is to be proved (RFC 8555, 7.1.4); `error` if it was not."""

    name: str
    status: str
    proofs: tuple[Proof, ...]
    error: AuthorityFailed | None
    retry_seconds: float


class Authority:
    """
    An authority, asked with an account's key.

    :param url: of its directory.
    :param root: as for `BoundedNetwork`.
    :param account_url: empty for an account that is still to be registered.
    :raises AuthorityFailed: if its directory cannot be had.
    """

    def __init__(self, url: str, root: str, key: ec.EllipticCurvePrivateKey, account_url: str = "") -> None:
        self._key = JWKEC(key=key)
        self._net = BoundedNetwork(self._key, root)
        with self._told():
            self._directory = messages.Directory.from_json(self._net.get(url).json())
            self._client = client.ClientV2(self._directory, self._net)
            self._nonces: str = self._directory["newNonce"]
        if account_url:
            self._use(account_url)

    def close(self) -> None:
        """Close the connections."""
        self._net.session.close()

    @property
    def issuers(self) -> tuple[str, ...]:
        """The names that the authority takes in CAA records."""
        return tuple(self._directory["meta"].caa_identities or ())[:10]

    @property
    def suggests_renewal(self) -> bool:
        """Whether it says when certificates are to be renewed (ARI)."""
        return "renewalInfo" in self._directory.to_partial_json()

    def register(self, email: str, external: ExternalAccount | None) -> str:
        """
        Register the key, or find the account that it has already; the terms of service are agreed to.

        :returns: the account's URL.
        :raises CannotOrder: if the key of the external account cannot be read.
        :raises AuthorityFailed: if it is refused.
        """
        binding = None if external is None else self._binding(external)
        with self._told():
            try:
                registration = messages.NewRegistration.from_data(
                    email=email or None, terms_of_service_agreed=True, external_account_binding=binding
                )
                url = str(self._client.new_account(registration).uri)
            except errors.ConflictError as error:
                url = str(error.location)
        self._use(url)
        return url

    def order(self, names: Sequence[str], profile: str, replaces: str) -> str:
        """
        Order a certificate.

        :param profile: empty for the authority's choice.
        :param replaces: the identifier of the certificate that it takes the place of, or empty. An authority that does
            not know that one, or has replaced it already, is asked again without.
        :returns: the order's URL.
        :raises AuthorityFailed: if it is refused.
        """
        try:
            return self._order(names, profile, replaces if self.suggests_renewal else "")
        except AuthorityFailed as error:
            if not replaces or error.kind not in ("alreadyReplaced", "conflict", "malformed"):
                raise
        return self._order(names, profile, "")

    def _order(self, names: Sequence[str], profile: str, replaces: str) -> str:
        identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]
        with self._told():
            message = ReplacingOrder(identifiers=identifiers, profile=profile or None, replaces=replaces or None)
            response = self._post(self._directory["newOrder"], message)
            return str(response.headers["Location"])

    def order_state(self, url: str) -> OrderState:
        """Return what the authority says of an order."""
        with self._told():
            return self._state_in(self._post(url, None))

    def name_state(self, url: str) -> NameState:
        """Return what the authority says of one of an order's authorizations."""
        with self._told():
            body = messages.Authorization.from_json(self._post(url, None).json())
            name = str(body.identifier.value).removeprefix("*.").lower()
            proofs = [proof for each in body.challenges if (proof := self._proof(name, each)) is not None]
            problem = next((each.error for each in body.challenges if each.error is not None), None)
            error = None if problem is None else self._failure(problem, {name})
            return NameState(
                name=name,
                status=body.status.name,
                proofs=tuple(proofs),
                error=error,
                retry_seconds=self._net.retry_seconds,
            )

    def look(self, proof: Proof) -> None:
        """Tell the authority that it may look at a proof."""
        with self._told():
            self._client.answer_challenge(proof.body, proof.body.chall.response(self._key))

    def finalize(self, url: str, request: x509.CertificateSigningRequest) -> OrderState:
        """Send the request for the certificate; return what the authority says of the order then."""
        with self._told():
            return self._state_in(self._post(url, messages.CertificateRequest(csr=request)))

    def certificate(self, url: str) -> str:
        """Fetch the chain that was issued, PEM."""
        with self._told():
            return str(self._post(url, None).text)

    def renewal_window(self, certificate: str) -> tuple[tuple[float, float] | None, float]:
        """
        Ask when a certificate is to be renewed.

        :param certificate: its identifier.
        :returns: beginning and end of the window, instants, or None where the authority has no such answer; and in how
            many seconds it wants to be asked again, 0 where it does not say.
        :raises AuthorityFailed: if it does not answer.
        """
        if not self.suggests_renewal or not certificate:
            return None, 0.0
        with self._told():
            answer = self._net.get(f"{self._directory['renewalInfo']}/{certificate}")
            window = messages.RenewalInfo.from_json(answer.json()).suggested_window
            return (window.start.timestamp(), window.end.timestamp()), self._net.retry_seconds

    def revoke(self, certificate: x509.Certificate) -> None:
        """Revoke a certificate; one that is revoked already is no failure."""
        try:
            with self._told():
                self._client.revoke(certificate, 0)
        except AuthorityFailed as error:
            if error.kind != "alreadyRevoked":
                raise

    def _use(self, account_url: str) -> None:
        self._net.account = messages.RegistrationResource(uri=account_url, body=messages.Registration())

    def _post(self, url: str, message: JSONDeSerializable | None) -> requests.Response:
        return self._net.post(url, message, new_nonce_url=self._nonces)

    def _binding(self, external: ExternalAccount) -> dict[str, Any]:
        try:
            with Path(external.hmac_key_file).open("rb") as file:
                key = file.read(MAX_HMAC_KEY_BYTES).decode("ascii").strip()
            base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        except (OSError, ValueError) as error:
            raise CannotOrder(f"acme.eab.hmac_key_file: {error}") from error
        with self._told():
            return messages.ExternalAccountBinding.from_data(
                self._key.public_key(), external.key_id, key.rstrip("="), self._directory
            )

    def _state_in(self, response: requests.Response) -> OrderState:
        body = messages.Order.from_json(response.json())
        urls = tuple(map(str, body.authorizations or ()))
        if len(urls) > MAX_AUTHORIZATIONS:
            raise Unusable(f"the authority wants more than {MAX_AUTHORIZATIONS} proofs")
        return OrderState(
            status=body.status.name,
            authorizations=urls,
            finalize=str(body.finalize or ""),
            certificate=str(body.certificate or ""),
            error=None if body.error is None else self._failure(body.error),
            retry_seconds=self._net.retry_seconds,
        )

    def _proof(self, name: str, body: messages.ChallengeBody) -> Proof | None:
        is_open = body.status.name == "pending"
        kind: Literal["dns-01", "http-01"]
        match body.chall:
            case challenges.DNS01() as chall:
                value, kind, token = chall.validation(self._key), "dns-01", chall.encode("token")
            case challenges.HTTP01() as chall:
                value, kind, token = chall.validation(self._key), "http-01", chall.encode("token")
            case _:
                return None
        return Proof(kind=kind, name=name, token=token, value=value, is_open=is_open, body=body)

    def _failure(self, problem: messages.Error, about: set[str] | None = None) -> AuthorityFailed:
        kind = kind_of(str(problem.typ))
        parts = [problem, *(problem.subproblems or ())]
        names = {str(part.identifier.value).removeprefix("*.").lower() for part in parts if part.identifier}
        detail = "; ".join(str(part.detail or part.title) for part in parts if part.detail or part.title)
        failure = AuthorityAway if self._net.status >= 500 or kind == "serverInternal" else AuthorityFailed
        return failure(sentence(kind, detail), kind, self._net.retry_seconds, frozenset(names | (about or set())))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """
        Ask, and turn what goes wrong into our errors.

        :raises AuthorityFailed: saying what to do.
        """
        try:
            yield
        except messages.Error as problem:
            raise self._failure(problem) from problem
        except requests.exceptions.SSLError as error:
            advice = "set acme.root if it is your own, and look at this machine's clock"
            raise AuthorityAway(f"the authority's server is not believed: {_words(error)}; {advice}") from error
        except requests.exceptions.RequestException as error:
            raise AuthorityAway(f"the authority is not reached: {_words(error)}") from error
        except errors.ConflictError as error:
            raise AuthorityFailed(sentence("conflict", str(error)), "conflict") from error
        except Unusable as error:
            raise AuthorityAway(_words(error)) from error
        except (errors.Error, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            status = self._net.status
            failure = AuthorityAway if status >= 500 or status in (0, 429) else AuthorityFailed
            reason = f"the authority's answer (status {status}) is not understood: {_words(error)}"
            raise failure(reason, "", self._net.retry_seconds) from error


def _words(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None or isinstance(getattr(cause, "reason", None), BaseException):
        cause = cause.__cause__ or cause.reason  # type: ignore[attr-defined]  # of urllib3's errors
    text = str(cause) or type(cause).__name__
    return "".join(character for character in text[:300] if character.isprintable())

"""Authentication: which proofs a rule asks for. Each kind is one Struct here, and one check that is built from it."""

from typing import Annotated, Literal

import msgspec

from warp_twisted.durations import parse_duration
from warp_twisted.policy.document.sources import check_file
from warp_twisted.policy.document.values import MAX_ENTRIES, Text, Texts

MAX_DEPTH = 4  # of any_of and all_of within each other
JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Basic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    User name and password (RFC 7617).

    :param users_file: below `policy_files`: a line `name:hash` for each user, the hash argon2id.
    :param realm: what browsers show when they ask.
    """

    users_file: Text
    realm: Text = "Warp"

    def __post_init__(self) -> None:
        check_file("users_file", self.users_file)
        check_realm(self.realm)


class Jwt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A signed token (RFC 7519) in `Authorization: Bearer`, or where `header` or `cookie` says.

    :param jwks_file: the key set below `policy_files`; or `jwks_url`: where it is fetched, https only.
    :param leeway: how far clocks may differ.
    :param claims: claim → the values of which it must have one.
    """

    jwks_file: Text | None = None
    jwks_url: Text | None = None
    issuer: Text
    audience: Texts
    algorithms: Annotated[tuple[JwtAlgorithm, ...], msgspec.Meta(min_length=1, max_length=10)] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    leeway: Text = "30s"
    header: Text | None = None
    cookie: Text | None = None
    claims: Annotated[dict[Text, Texts], msgspec.Meta(max_length=16)] = {}

    def __post_init__(self) -> None:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("expected jwks_file or jwks_url, one of them")
        if self.jwks_file is not None:
            check_file("jwks_file", self.jwks_file)
        if self.jwks_url is not None and not self.jwks_url.startswith("https://"):
            raise ValueError("jwks_url: expected an https URL")
        if self.header is not None and self.cookie is not None:
            raise ValueError("expected header or cookie, not both")
        try:
            if parse_duration(self.leeway) > 300:
                raise ValueError("expected 5m at most")
        except ValueError as error:
            raise ValueError(f"leeway: {error}") from error


class ServiceToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A service token, in the two fields that `warp service-token create` prints.

    :param names: of the tokens that are let in; unless given all of them.
    """

    names: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)] | None = None


class ClientCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A certificate that the visitor proves in its TLS handshake.

    :param ca_file: below `policy_files`: the authorities that are believed.
    :param san: names of which it must have one: DNS names, email addresses, URIs; `*` stands for any characters.
    :param fingerprints: SHA-256 of the certificate, in hexadecimal digits.
    """

    ca_file: Text
    san: Texts | None = None
    fingerprints: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)] | None = None

    def __post_init__(self) -> None:
        check_file("ca_file", self.ca_file)
        for index, text in enumerate(self.fingerprints or ()):
            digits = text.replace(":", "")
            if len(digits) != 64 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise ValueError(f"fingerprints[{index}]: expected the 64 hexadecimal digits of a SHA-256")


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to prove who one is: exactly one of the keys. `any_of` and `all_of` may stand within each other."""

    basic: Basic | None = None
    jwt: Jwt | None = None
    service_token: ServiceToken | None = None
    client_certificate: ClientCertificate | None = None
    any_of: "Proofs | None" = None
    all_of: "Proofs | None" = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in msgspec.structs.astuple(self)) != 1:
            raise ValueError(f"expected one of {', '.join(self.__struct_fields__)}")


# Without any proof nobody could come in, or everybody: an empty list is refused.
Proofs = Annotated[list[Proof], msgspec.Meta(min_length=1, max_length=16)]


class Authenticate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What a visitor must prove: one of `any_of`, or each of `all_of`.

    :param cors_preflight: whether a browser's CORS preflight, which never has credentials, is let past.
    :param withhold_credential: whether the origin does not see the credential itself.
    :param assertion: whether the origin is told the identity, in a signed assertion and in plain fields.
    """

    any_of: Proofs | None = None
    all_of: Proofs | None = None
    cors_preflight: bool = False
    withhold_credential: bool = False
    assertion: bool = True

    def __post_init__(self) -> None:
        if (self.any_of is None) == (self.all_of is None):
            raise ValueError("expected any_of or all_of, one of them")
        if _depth(self.any_of or self.all_of or []) > MAX_DEPTH:
            raise ValueError(f"any_of and all_of stand within each other {MAX_DEPTH} deep at most")


def check_realm(realm: str) -> None:
    """
    Check what browsers show when they ask.

    :raises ValueError: beginning with the key.
    """
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ValueError("realm: expected printable ASCII without quotes and backslashes")


def _depth(proofs: list[Proof]) -> int:
    return 1 + max(
        (_depth(each.any_of or each.all_of or []) for each in proofs if each.any_of or each.all_of), default=0
    )

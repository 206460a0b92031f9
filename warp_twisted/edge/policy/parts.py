"""
What a policy is assembled from at an edge: lists, users, keys and authorities in files below `policy_files`, limiters
that go on counting, and checks.

Used in a thread, while a policy is compiled. Nothing here is asked about a request.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warp_twisted.durations import parse_duration
from warp_twisted.edge.certificates.asking import CannotAsk, prove
from warp_twisted.edge.policy.databases import PLACES, Databases
from warp_twisted.edge.policy.file_stamps import Stamp, stamp_at, stamp_of
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.authentication.client_certificate import (
    AuthoritiesError,
    ClientCertificateCheck,
    read_authorities,
)
from warp_twisted.policy.authentication.jwt import JwtCheck
from warp_twisted.policy.authentication.key_sets import KeySetError, read_key_set
from warp_twisted.policy.authentication.service_token import KnownToken, ServiceTokenCheck
from warp_twisted.policy.authentication.tokens import Expected
from warp_twisted.policy.authentication.users import UsersError, read_users
from warp_twisted.policy.changes import folded
from warp_twisted.policy.document.authentication import Basic, ClientCertificate, Jwt, Proof, ServiceToken
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import DatabaseFiles, Source, SourceEntry
from warp_twisted.policy.document.values import listed
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.interfaces import Check
from warp_twisted.policy.limiters import AnyLimiter, make_limiter
from warp_twisted.policy.sources.crowdsec import DecisionsError, crowdsec_prefixes
from warp_twisted.policy.sources.places import InAnyOf, Located
from warp_twisted.policy.sources.prefixes import Addresses, PrefixError, PrefixSet, set_of_lists

MAX_FILE = 64 * 1024 * 1024
MAX_FETCHED = 32  # key sets
MAX_AUTHORITIES = 100  # of visitors' certificates, different ones; each takes 0.1 ms to read
Limiters = Mapping[tuple[str, str], tuple[Limit, AnyLimiter]]
_WHERE_FROM = "policy_files in edge.yaml, or --files of warp policy, names its directory"
FindToken = Callable[[str], KnownToken | None]


class PolicyParts:
    """
    Makes the parts of one policy.

    :param directory: `policy_files`.
    :param before: the limits of the policy before this one and what counts them, by the names of rule and limit.
    :param find: returns a service token that is neither unknown nor revoked, by its id.
    :param databases: opens those of places.
    :ivar database_files: as the policy names them; set before compiling.
    :ivar limiters: those of this one.
    :ivar changed_limits: limiters that go on counting, and ones that say what they are to allow from now on.
    :ivar passwords: the checks whose questions are answered in threads, by their subject.
    :ivar stamps: of the files that were read.
    :ivar kinds: of the checks that were made.
    :ivar fetched: URLs of key sets, and who verifies with them.
    :ivar authorities: of visitors' certificates, in DER.
    """

    def __init__(
        self,
        directory: Path,
        before: Limiters,
        find: FindToken = lambda token: None,
        databases: Databases | None = None,
    ) -> None:
        self._directory = directory
        self.database_files = DatabaseFiles()
        self._databases = databases if databases is not None else Databases()
        self._find = find
        self._before = before
        self._texts: dict[str, str] = {}
        self.changed_limits: list[tuple[AnyLimiter, AnyLimiter]] = []
        self.limiters: dict[tuple[str, str], tuple[Limit, AnyLimiter]] = {}
        self.passwords: dict[str, BasicCheck] = {}
        self.stamps: dict[str, Stamp | None] = {}
        self.kinds: set[str] = set()
        self.fetched: list[tuple[str, JwtCheck]] = []
        self.authorities: set[bytes] = set()

    # What compiling asks for.

    def source_set(self, entries: Sequence[Source], where: str) -> Addresses:
        """Make a set of addresses; see `Parts`."""
        listed: list[tuple[str, Source]] = []
        located: list[Addresses] = []
        for index, entry in enumerate(entries):
            place = f"{where}[{index}]"
            if isinstance(entry, SourceEntry) and entry.file is None:
                located.append(self._located(entry, place))
            else:
                listed.append((place, entry))
        if not located:
            return self._prefixes(listed, where)
        return InAnyOf([self._prefixes(listed, where), *located] if listed else located)

    def prefix_set(self, entries: Sequence[Source], where: str) -> PrefixSet:
        """Make a set of addresses of prefixes and files alone: asking it never fails."""
        named = [(f"{where}[{index}]", entry) for index, entry in enumerate(entries)]
        for place, entry in named:
            if isinstance(entry, SourceEntry) and entry.file is None:
                raise InvalidPolicy(f"{place}: expected a prefix or a file of them")
        return self._prefixes(named, where)

    def _prefixes(self, entries: Sequence[tuple[str, Source]], where: str) -> PrefixSet:
        lists = [(place, [entry]) if isinstance(entry, str) else self._list(entry, place) for place, entry in entries]
        try:
            return set_of_lists(lists, where)
        except PrefixError as error:
            raise InvalidPolicy(f"{error}") from error

    def limiter(self, limit: Limit, rule: str, where: str) -> AnyLimiter:
        """Make a limiter, or go on with the one that counted this limit before."""
        place = rule, limit.name
        fresh = make_limiter(limit)
        before, known = self._before.get(place, (limit, fresh))
        limiter = known if type(known) is type(fresh) else fresh
        if limiter is not fresh and before != limit:
            self.changed_limits.append((limiter, fresh))
        self.limiters[place] = limit, limiter
        return limiter

    def check(self, proof: Proof, where: str) -> Check:
        """Make a check of a proof's kind."""
        kind = next(name for name in proof.__struct_fields__ if getattr(proof, name) is not None)
        self.kinds.add(kind)
        return _CHECKS[kind](self, getattr(proof, kind), f"{where}.{kind}")

    # Files.

    def _read(self, name: str, where: str) -> str:
        """
        Read a file once.

        :raises InvalidPolicy: it is not there, too large, or not text.
        """
        if name in self._texts:
            return self._texts[name]
        path = self._directory / name
        try:
            with path.open("rb") as file:
                self.stamps[name] = stamp_of(os.fstat(file.fileno()))
                content = file.read(MAX_FILE + 1)
        except OSError as error:
            self.stamps[name] = None
            raise InvalidPolicy(f"{where}: {path}: {error.strerror}; {_WHERE_FROM}") from error
        if len(content) > MAX_FILE:
            raise InvalidPolicy(f"{where}: {path}: larger than {MAX_FILE >> 20} MiB")
        try:
            text = self._texts[name] = content.decode()
        except UnicodeDecodeError as error:
            raise InvalidPolicy(f"{where}: {path}: not UTF-8") from error
        return text

    def _list(self, entry: SourceEntry, where: str) -> tuple[str, list[str]]:
        """Return what a list in a file is called, and its lines."""
        assert entry.file is not None  # noqa: S101 -- others are places
        text = self._read(entry.file, f"{where}.file")
        path = f"{where}.file: {self._directory / entry.file}"
        try:
            return path, crowdsec_prefixes(text) if entry.format == "crowdsec" else text.split("\n")
        except DecisionsError as error:
            raise InvalidPolicy(f"{path}: {error}") from error

    def _located(self, entry: SourceEntry, where: str) -> Located:
        """Return the addresses in some places."""
        kind = "country" if entry.country else "asn"
        name: str | None = getattr(self.database_files, kind)
        if name is None:
            raise InvalidPolicy(f"{where}.{kind}: needs a database, and databases.{kind} of the policy names none")
        path = self._directory / name
        try:
            database = self._databases.open(path, kind, f"databases.{kind}")
        except OSError as error:
            self.stamps[name] = None
            raise InvalidPolicy(f"databases.{kind}: {path}: {error.strerror}; {_WHERE_FROM}") from error
        except InvalidPolicy:
            self.stamps[name] = stamp_at(path)
            raise
        self.stamps[name] = database.stamp
        return Located(database.find, PLACES[kind][0], entry.country or entry.asn)

    # Checks.

    def _basic(self, document: Basic, where: str) -> Check:
        try:
            users = read_users(self._read(document.users_file, f"{where}.users_file"))
        except UsersError as error:
            raise InvalidPolicy(f"{where}.users_file: {self._directory / document.users_file}: {error}") from error
        check = self.passwords[where] = BasicCheck(where, document.realm, users)
        return check

    def _jwt(self, document: Jwt, where: str) -> Check:
        expected = Expected(
            issuer=document.issuer,
            audience=tuple(listed(document.audience)),
            algorithms=tuple(document.algorithms),
            leeway=parse_duration(document.leeway),
            claims={name: tuple(listed(values)) for name, values in document.claims.items()},
        )
        check = JwtCheck(
            expected,
            header=folded(document.header.encode()) if document.header is not None else None,
            cookie=document.cookie.encode() if document.cookie is not None else None,
        )
        if document.jwks_file is None:
            self._follow(document.jwks_url or "", check, where)
            return check
        try:
            check.use(read_key_set(self._read(document.jwks_file, f"{where}.jwks_file")))
        except KeySetError as error:
            raise InvalidPolicy(f"{where}.jwks_file: {self._directory / document.jwks_file}: {error}") from error
        return check

    def _follow(self, url: str, check: JwtCheck, where: str) -> None:
        if not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidPolicy(f"{where}.jwks_url: expected printable ASCII without spaces, got {url!r}")
        self.fetched.append((url, check))
        if len({each for each, _ in self.fetched}) > MAX_FETCHED:
            raise InvalidPolicy(f"{where}.jwks_url: more than {MAX_FETCHED} different URLs")

    def _service_token(self, document: ServiceToken, where: str) -> Check:
        return ServiceTokenCheck(self._find, frozenset(document.names) if document.names is not None else None)

    def _client_certificate(self, document: ClientCertificate, where: str) -> Check:
        try:
            prove()
            authorities = read_authorities(self._read(document.ca_file, f"{where}.ca_file"))
        except CannotAsk as error:
            raise InvalidPolicy(f"{where}: {error}") from error
        except AuthoritiesError as error:
            raise InvalidPolicy(f"{where}.ca_file: {self._directory / document.ca_file}: {error}") from error
        check = ClientCertificateCheck(
            authorities,
            san=listed(document.san) if document.san is not None else None,
            fingerprints=(
                frozenset(each.replace(":", "").lower() for each in document.fingerprints)
                if document.fingerprints is not None
                else None
            ),
        )
        self.authorities.update(check.authorities)
        if len(self.authorities) > MAX_AUTHORITIES:
            raise InvalidPolicy(f"{where}.ca_file: more than {MAX_AUTHORITIES} different authorities in the policy")
        return check


# Key of a proof → what makes its check. A new kind is one line more.
_CHECKS: dict[str, Callable[[PolicyParts, Any, str], Check]] = {
    "basic": PolicyParts._basic,
    "jwt": PolicyParts._jwt,
    "service_token": PolicyParts._service_token,
    "client_certificate": PolicyParts._client_certificate,
}

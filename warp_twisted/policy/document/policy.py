"""
A policy file as a whole: defaults over every application, then rules in order, and how requests are split.

`parse_policy` reads one. A file of a newer version is refused as a whole before its keys are looked at, as this release
could not know what it leaves out.
"""

from typing import Annotated, Any, Literal

import msgspec

from warp_twisted import configuration
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.document.authentication import Authenticate
from warp_twisted.policy.document.fields import FieldChanges, Https
from warp_twisted.policy.document.limits import Ban, Limit
from warp_twisted.policy.document.matches import Except, Match, check_exceptions, check_routes
from warp_twisted.policy.document.routing import Routing, check_routing
from warp_twisted.policy.document.sources import DatabaseFiles, Sources
from warp_twisted.policy.document.values import MAX_ENTRIES, Name, Text
from warp_twisted.policy.errors import InvalidPolicy, NewerPolicy
from warp_twisted.policy.paths.spelling import AllowableOddity

VERSION = 1
EMPTY = "empty; a policy that lets everything through is written {}"
MAX_BYTES = 512 << 10  # of a file: what the registry keeps and every edge is sent
MAX_RULES = 1_000
MAX_LIMITS = 64  # of a rule
MAX_ROUTING = 1_000
DEFAULTS = "defaults"  # what verdicts call the rule of that key


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"except_": "except"}):
    """
    What defaults and rules have in common.

    :param except_: the key `except`: requests that it does not apply to.
    :param log_only: whether it only says what it would have done.
    :param sources: who may come.
    :param routes: methods and paths that exist: `GET /v1/*`; everything else is denied.
    :param odd_paths: spellings of paths that are judged, under each reading, rather than refused with 400.
    """

    except_: Except | None = None
    log_only: bool = False
    sources: Sources | None = None
    routes: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)] | None = None
    odd_paths: Annotated[list[AllowableOddity], msgspec.Meta(min_length=1, max_length=16)] | None = None
    limits: Annotated[list[Limit], msgspec.Meta(min_length=1, max_length=MAX_LIMITS)] | None = None
    authenticate: Authenticate | None = None
    https: Literal["redirect"] | Https | None = None
    request: FieldChanges | None = None
    response: FieldChanges | None = None

    def __post_init__(self) -> None:
        check_exceptions(self.except_ or [])
        check_routes(self.routes or [])
        names = [limit.name for limit in self.limits or ()]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"limits[{index}].name: {name!r} is the name of an earlier limit of this rule")


class Defaults(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"except_": "except"}):
    """
    What holds for every application, before the rules.

    :param ban: when an address that keeps being refused is turned away.
    """

    ban: Ban | None = None


class Rule(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"except_": "except"}):
    """
    One rule: what it is about and what it asks of that.

    :param name: what verdicts, logs and metrics call it.
    :param match: unless given, every request.
    :param deny: whether what matches is denied, whatever else the rule says.
    """

    name: Name
    match: Match = Match()
    deny: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        of_requests = [
            key for key in ("path", "method", "header", "query", "label") if getattr(self.match, key) is not None
        ]
        for index, limit in enumerate(self.limits or ()):
            if of_requests and limit.of in ("connections", "concurrent_connections"):
                raise ValueError(
                    f"limits[{index}].of: {limit.of} are counted before a request is read; take them to a rule "
                    f"without match.{of_requests[0]}"
                )
        if self.name == DEFAULTS:
            raise ValueError(f"name: {DEFAULTS!r} is what the defaults are called")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A policy; the empty one allows everything.

    :param databases: files that say in which country and autonomous system an address is.
    """

    version: int = VERSION
    databases: DatabaseFiles = DatabaseFiles()
    defaults: Defaults = Defaults()
    rules: Annotated[list[Rule], msgspec.Meta(max_length=MAX_RULES)] = []
    routing: Annotated[list[Routing], msgspec.Meta(max_length=MAX_ROUTING)] = []

    def __post_init__(self) -> None:
        check_routing(self.routing)
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.name in seen:
                raise ValueError(f"rules[{index}].name: {rule.name!r} is the name of an earlier rule")
            seen.add(rule.name)


def parse_policy(content: bytes | str, source: str) -> Policy:
    """
    Read a policy.

    :param source: what errors call the text, usually the file's name.
    :raises InvalidPolicy: naming source, key path or line, and what was expected there.
    :raises NewerPolicy: if it says that it is of a newer version.
    """
    # A text is measured as it would be in a file.
    if len(content if isinstance(content, bytes) else content.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidPolicy(f"{source}: larger than {MAX_BYTES >> 10} KiB")
    try:
        # What a pipe that broke leaves, or an editor for a moment, must not open everything.
        raw = configuration.parse(content, dict[str, Any], source, if_empty=EMPTY)
        version = raw.get("version", VERSION)
        if type(version) is int and version > VERSION:
            raise NewerPolicy(
                f"{source}: version: {version} is newer than {VERSION}, which this release knows; upgrade Warp first"
            )
        if type(version) is not int or version < 1:
            raise InvalidPolicy(f"{source}: version: expected {VERSION}, got {version!r}")
        return configuration.convert(raw, Policy, source)
    except InvalidPolicy:
        raise
    except InvalidSettings as error:
        raise InvalidPolicy(f"{error}") from error

"""
What an agent asks an edge to enforce for its own hostnames: a small part of the policy language, in one text.

It can only narrow: nothing here lets anybody in, or changes what another rule says. It names no file and no URL: lists
and users are in the text itself. Strict: a key that is not known here is one that would not be enforced.
"""

from collections.abc import Sequence
from typing import Annotated, Self

import msgspec

from warp_twisted.policy.document.authentication import Authenticate, Basic, Proof, check_realm
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.policy import Rule
from warp_twisted.policy.document.sources import Sources, check_prefixes
from warp_twisted.policy.document.values import MAX_ENTRIES, Text
from warp_twisted.policy.errors import InvalidPolicy

NAME = "agent:policy"  # of such rules, in verdicts, logs and metrics; the operator's rules have no colon
MAX_ASKED_RULES = 64
MAX_PREFIXES = 256  # of one list
MAX_ASKED_LIMITS = 8
MAX_USERS = 256  # of one list
# In all rules together: each keeps counts, or answers, of its own.
MAX_LIMITS_IN_ALL = 16
MAX_LISTS_IN_ALL = 8
_LIMITED = ("requests", "concurrent_requests")

Prefixes = Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_PREFIXES)]
AskedLimits = Annotated[list[Limit], msgspec.Meta(min_length=1, max_length=MAX_ASKED_LIMITS)]


class AskedSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Who may come, as in `Sources`, by prefixes only."""

    allow: Prefixes | None = None
    deny: Prefixes | None = None

    def __post_init__(self) -> None:
        if self.allow is None and self.deny is None:
            raise ValueError("expected allow, deny or both")
        for key, entries in (("allow", self.allow), ("deny", self.deny)):
            check_prefixes(key, [*(entries or ())])


class AskedBasic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """
    User name and password.

    :param users: name → argon2id hash, as in a users file.
    """

    users: Annotated[dict[Text, Text], msgspec.Meta(min_length=1, max_length=MAX_USERS)]
    realm: Text = "Warp"

    def __post_init__(self) -> None:
        check_realm(self.realm)

    def __repr__(self) -> str:
        return f"AskedBasic({len(self.users)} users)"


class AskedProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to prove who one is."""

    basic: AskedBasic


class AskedAuthentication(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a visitor must prove; the keys are those of `Authenticate`."""

    any_of: Annotated[list[AskedProof], msgspec.Meta(min_length=1, max_length=4)]
    cors_preflight: bool = False
    withhold_credential: bool = False


class AskedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """
    What is asked for some hostnames.

    :param hostnames: as the agent offers them: names, `*.` patterns, or the empty text for the name that it is given.
    """

    hostnames: Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], msgspec.Meta(max_length=MAX_ENTRIES)]
    sources: AskedSources | None = None
    limits: AskedLimits | None = None
    authenticate: AskedAuthentication | None = None

    def __post_init__(self) -> None:
        check_asked(self.sources, self.limits, self.authenticate)

    @property
    def content(self) -> bytes:
        """What it asks, without the hostnames; equal texts ask the same."""
        return msgspec.json.encode(msgspec.structs.replace(self, hostnames=[]))

    @property
    def proofs(self) -> Sequence[AskedBasic]:
        """The lists of users, in order: what the proofs of `rule` name as files `0`, `1` and so on."""
        return [each.basic for each in self.authenticate.any_of] if self.authenticate is not None else []

    def rule(self) -> Rule:
        """Return the same in the operators' language, for whoever compiles it."""
        asked = self.authenticate
        return Rule(
            name=NAME,
            sources=(
                Sources(
                    allow=[*self.sources.allow] if self.sources.allow else None,
                    deny=[*self.sources.deny] if self.sources.deny else None,
                )
                if self.sources is not None
                else None
            ),
            limits=self.limits,
            authenticate=(
                Authenticate(
                    any_of=[
                        Proof(basic=Basic(users_file=str(index), realm=basic.realm))
                        for index, basic in enumerate(self.proofs)
                    ],
                    cors_preflight=asked.cors_preflight,
                    withhold_credential=asked.withhold_credential,
                    assertion=False,  # it would tell the origin also whom the operator's rules have proven
                )
                if asked is not None
                else None
            ),
        )


class AskedPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that one agent asks."""

    rules: Annotated[list[AskedRule], msgspec.Meta(min_length=1, max_length=MAX_ASKED_RULES)]

    def __post_init__(self) -> None:
        different = {rule.content: rule for rule in self.rules}.values()
        for what, count, most in (
            ("limits", sum(len(rule.limits or ()) for rule in different), MAX_LIMITS_IN_ALL),
            ("lists of users", sum(len(rule.proofs) for rule in different), MAX_LISTS_IN_ALL),
        ):
            if count > most:
                raise ValueError(f"{count} {what} in all rules that differ; {most} is most")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read it.

        :raises InvalidPolicy: saying where it is something else, and what was expected; it quotes no hash.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidPolicy(f"{error}") from error

    def text(self) -> str:
        """Write it."""
        return msgspec.json.encode(self).decode()


def check_asked(sources: object, limits: Sequence[Limit] | None, authenticate: object) -> None:
    """
    Check what an agent asks for in one rule: that it is anything at all, and what it limits.

    :raises ValueError: beginning with the key, if it is about one.
    """
    if sources is None and limits is None and authenticate is None:
        raise ValueError("expected one of sources, limits, authenticate")
    names: set[str] = set()
    for index, limit in enumerate(limits or ()):
        key = f"limits[{index}]"
        if limit.of not in _LIMITED:
            raise ValueError(f"{key}.of: an agent limits {' and '.join(_LIMITED)} only")
        if limit.per != "hostname":
            raise ValueError(f"{key}.per: an agent limits each of its hostnames; leave it out")
        if limit.name in names:
            raise ValueError(f"{key}.name: {limit.name!r} is the name of an earlier limit")
        names.add(limit.name)

"""
What the rules ask edges to enforce for their hostnames: `policy` of an ingress rule, in the words of the edges' policy.

A users file is read here, on the agent's machine, and its hashes are sent: an edge is never told of a file. What is
wrong is found before anything is asked, by the same reader that an edge uses.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.authentication.users import UsersError, read_users
from warp_twisted.policy.document.asked import (
    MAX_USERS,
    AskedAuthentication,
    AskedBasic,
    AskedLimits,
    AskedPolicy,
    AskedProof,
    AskedRule,
    AskedSources,
    check_asked,
)
from warp_twisted.policy.document.authentication import check_realm
from warp_twisted.policy.document.limits import HeaderKey
from warp_twisted.policy.document.values import Text
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.wire.control import MAX_POLICY_CHARACTERS


class UsersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    User name and password.

    :param users_file: on this machine: a line `name:hash` for each user, the hash argon2id.
    :param realm: what browsers show when they ask.
    """

    users_file: Text
    realm: Text = "Warp"

    def __post_init__(self) -> None:
        check_realm(self.realm)


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to prove who one is."""

    basic: UsersFile


class Authentication(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a visitor must prove; the keys are those of the edges' policy."""

    any_of: Annotated[list[Proof], msgspec.Meta(min_length=1, max_length=4)]
    cors_preflight: bool = False
    withhold_credential: bool = False


class RulePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The key `policy` of an ingress rule: what edges are asked to enforce for the rule's hostname."""

    sources: AskedSources | None = None
    limits: AskedLimits | None = None
    authenticate: Authentication | None = None

    def __post_init__(self) -> None:
        check_asked(self.sources, self.limits, self.authenticate)

    def words(self) -> list[str]:
        """Say what it asks, for people, in a few words each."""
        said = []
        if self.sources is not None:
            for word, entries in (("only from", self.sources.allow), ("not from", self.sources.deny)):
                said += [f"{word} {_some(entries)}"] if entries else []
        for limit in self.limits or ():
            most = f"{limit.most} at once" if limit.most is not None else f"{limit.rate}"
            key = f"value of {limit.key.header}" if isinstance(limit.key, HeaderKey) else limit.key
            said.append(f"{most} for each {key}")
        if self.authenticate is not None:
            said.append(f"users of {_some([each.basic.users_file for each in self.authenticate.any_of])}")
        return said


def asked_text(asked: Sequence[tuple[str, Sequence[str], RulePolicy]]) -> str:
    """
    Write what edges are asked; reads the users files.

    :param asked: for each policy the key of its rule, such as `ingress[2]`, and the hostnames that it is for, as they
        are offered.
    :returns: for a hello; empty if nothing is asked.
    :raises InvalidSettings: naming the key of what cannot be asked.
    """
    if not asked:
        return ""
    try:
        text = AskedPolicy(rules=[_rule(*each) for each in asked]).text()
        AskedPolicy.parse(text)  # as an edge will: bounds that hold for what is built here are not checked otherwise
    except InvalidPolicy as error:
        raise InvalidSettings(f"{asked[0][0]}.policy: no edge would take it: {error}") from error
    if len(text) > MAX_POLICY_CHARACTERS:
        raise InvalidSettings(
            f"{asked[0][0]}.policy: all policies together, with their users, have {len(text)} characters; "
            f"{MAX_POLICY_CHARACTERS} is most"
        )
    return text


def _rule(key: str, hostnames: Sequence[str], policy: RulePolicy) -> AskedRule:
    return AskedRule(
        hostnames=list(hostnames),
        sources=policy.sources,
        limits=policy.limits,
        authenticate=_authentication(f"{key}.policy.authenticate", policy.authenticate),
    )


def _authentication(key: str, asked: Authentication | None) -> AskedAuthentication | None:
    if asked is None:
        return None
    return AskedAuthentication(
        any_of=[
            AskedProof(basic=_users(f"{key}.any_of[{index}].basic.users_file", each.basic))
            for index, each in enumerate(asked.any_of)
        ],
        cors_preflight=asked.cors_preflight,
        withhold_credential=asked.withhold_credential,
    )


def _users(key: str, basic: UsersFile) -> AskedBasic:
    try:
        with Path(basic.users_file).open("rb") as file:
            content = file.read(MAX_POLICY_CHARACTERS + 1)
        users = read_users(content.decode())
    except OSError as error:
        raise InvalidSettings(f"{key}: {basic.users_file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{key}: {basic.users_file}: not UTF-8") from error
    except UsersError as error:
        raise InvalidSettings(f"{key}: {basic.users_file}: {error}") from error
    if not 1 <= len(users) <= MAX_USERS or len(content) > MAX_POLICY_CHARACTERS:
        raise InvalidSettings(
            f"{key}: {basic.users_file}: expected 1 to {MAX_USERS} users, and {MAX_POLICY_CHARACTERS >> 10} KiB at most"
        )
    return AskedBasic(users=dict(users), realm=basic.realm)


def _some(entries: Sequence[str]) -> str:
    return ", ".join(entries[:3]) + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")

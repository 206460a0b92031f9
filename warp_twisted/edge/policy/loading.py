"""
Reading and compiling a policy: a file or a text, and the files that it names. Runs in a thread.

Nothing is in force before all of it is compiled; what cannot be used refuses the policy as a whole.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from warp_twisted.edge.certificates.asking import Authorities, CannotAsk
from warp_twisted.edge.policy.databases import Databases
from warp_twisted.edge.policy.fetched_keys import FollowedKeys
from warp_twisted.edge.policy.file_stamps import Stamp, stamp_at
from warp_twisted.edge.policy.parts import FindToken, Limiters, PolicyParts
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.authentication.service_token import KIND as SERVICE_TOKEN
from warp_twisted.policy.authentication.service_token import SECRETS
from warp_twisted.policy.bans import ALWAYS_SPARED, BanRule
from warp_twisted.policy.document.limits import Ban
from warp_twisted.policy.document.matches import as_match
from warp_twisted.policy.document.policy import MAX_BYTES, Policy, parse_policy
from warp_twisted.policy.document.values import positive_duration
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.judging.compiler import CompiledPolicy, compile_policy
from warp_twisted.policy.limiters import AnyLimiter
from warp_twisted.policy.sources.prefixes import PrefixSet


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A policy that can be put in force.

    :ivar source: the file's name, or what else the text is called.
    :ivar rules: the names of all rules, that of the defaults among them.
    :ivar limiters: limits and what counts them, for the policy after this one as well.
    :ivar changed_limits: as of `PolicyParts`: to be followed when it is put in force.
    :ivar counts_connections: whether a rule limits connections.
    :ivar looks_at_labels: whether a rule asks for the labels of tunnels.
    :ivar passwords: checks whose questions are answered in threads, by their subject.
    :ivar kinds: of all checks.
    :ivar taken_out: names of fields that rules take out of requests, as `policy.changes.folded` returns them.
    :ivar fetched: URLs of key sets, and who verifies with them.
    :ivar authorities: of the certificates that visitors are asked for; None: no hostname's are.
    :ivar ban: when a network is banned; None: nobody is, but by an operator.
    :ivar never: who is never banned.
    """

    source: str
    compiled: CompiledPolicy
    rules: frozenset[str]
    limiters: Limiters
    changed_limits: Sequence[tuple[AnyLimiter, AnyLimiter]]
    counts_connections: bool
    looks_at_labels: bool
    passwords: Mapping[str, BasicCheck]
    kinds: frozenset[str]
    taken_out: frozenset[bytes]
    fetched: FollowedKeys
    authorities: Authorities | None
    ban: BanRule | None
    never: PrefixSet


@dataclass(frozen=True, slots=True)
class Watched:
    """
    The files of a policy as they were when it was read, or tried to be.

    :ivar stamps: path → what tells that it has changed; None if it was not there.
    """

    stamps: Mapping[Path, Stamp | None]

    def have_changed(self) -> bool:
        """Look at the files; runs in a thread."""
        return any(stamp_at(path) != stamp for path, stamp in self.stamps.items())


class Refused(InvalidPolicy):
    """
    A policy cannot be used.

    :ivar watched: the files that would have to change.
    """

    def __init__(self, text: str, watched: Watched) -> None:
        super().__init__(text)
        self.watched = watched


NO_HOSTNAME = ""  # its program is that of hostnames which no rule names
Parse = Callable[[bytes, str], Policy]  # as `parse_policy`


def load(
    file: str,
    directory: str,
    before: Limiters,
    find: FindToken = lambda token: None,
    databases: Databases | None = None,
    parse: Parse = parse_policy,
) -> tuple[Loaded, Watched]:
    """
    Read and compile a policy.

    :param directory: where the files are that it names.
    :param before: limiters that go on counting.
    :param find: as of `PolicyParts`.
    :param databases: keeps those that are as they were.
    :raises Refused: naming file, key path and what was expected there.
    """
    path = Path(file)
    stamps: dict[Path, Stamp | None] = {path: stamp_at(path)}
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}", Watched(stamps)) from error
    return load_text(content, file, directory, before, find, databases, parse, stamps)


def load_text(
    content: bytes,
    source: str,
    directory: str,
    before: Limiters,
    find: FindToken = lambda token: None,
    databases: Databases | None = None,
    parse: Parse = parse_policy,
    stamps: Mapping[Path, Stamp | None] = MappingProxyType({}),
) -> tuple[Loaded, Watched]:
    """
    Compile a policy.

    :param source: what errors call the text.
    :param stamps: of what it was read from; other parameters as of `load`.
    :raises Refused: as of `load`.
    """
    databases = databases if databases is not None else Databases()
    parts = PolicyParts(Path(directory), before, find, databases)

    def watched() -> Watched:
        return Watched({**stamps, **{Path(directory) / name: stamp for name, stamp in parts.stamps.items()}})

    try:
        document = parse(content, source)
        parts.database_files = document.databases
        loaded = assemble(document, source, parts)
    except (InvalidPolicy, CannotAsk) as error:
        text = str(error)
        raise Refused(text if text.startswith(source) else f"{source}: {text}", watched()) from error
    databases.keep(watched().stamps)
    return loaded, watched()


def assemble(document: Policy, source: str, parts: PolicyParts) -> Loaded:
    """
    Compile a policy from its parts.

    :param source: what it is called.
    :raises InvalidPolicy: or `CannotAsk`, naming key path and what was expected there.
    """
    compiled = compile_policy(document, parts)
    ban = document.defaults.ban
    named = ban.never or () if ban is not None else ()
    return Loaded(
        source=source,
        compiled=compiled,
        rules=frozenset(rule.name for rule in compiled.rules),
        limiters=parts.limiters,
        changed_limits=parts.changed_limits,
        counts_connections=any(rule.of_connections for rule in compiled.rules),
        looks_at_labels=_looks_at_labels(document),
        passwords=parts.passwords,
        kinds=frozenset(parts.kinds),
        taken_out=_taken_out(compiled, parts.kinds),
        fetched=parts.fetched,
        never=parts.prefix_set([*named, *ALWAYS_SPARED], "defaults.ban.never"),
        authorities=Authorities(sorted(parts.authorities)) if parts.authorities else None,
        ban=_rule(ban),
    )


def prepare(loaded: Loaded, hostnames: Iterable[str]) -> None:
    """
    Make the programs of hostnames, before the policy is in force; runs in a thread.

    A program of a thousand rules takes 10 ms and more, which the first request for its hostname would wait for, and
    everybody else.
    """
    for hostname in (NO_HOSTNAME, *hostnames):
        loaded.compiled.program_for(hostname)


def let_go(loaded: list[Loaded]) -> None:
    """
    Let go of policies that were in force, rule by rule; runs in a thread.

    A thousand rules that go at once hold everybody up for 10 ms.

    :param loaded: the last references to them; empty afterwards.
    """
    parts: list[object] = []
    while loaded:
        last = loaded.pop()
        parts += last.compiled.rules
        parts += last.compiled.document.rules
        parts += last.limiters.values()
        parts += last.changed_limits
        del last
    while parts:
        parts.pop()


def _looks_at_labels(policy: Policy) -> bool:
    bodies = (policy.defaults, *policy.rules)
    matches = [as_match(each) for body in bodies for each in body.except_ or ()] + [rule.match for rule in policy.rules]
    return any(match.label is not None for match in matches)


def _taken_out(compiled: CompiledPolicy, kinds: Collection[str]) -> frozenset[bytes]:
    secrets = SECRETS if SERVICE_TOKEN in kinds else ()
    rules = [rule for rule in compiled.rules if rule.request is not None and not rule.log_only]
    return frozenset(secrets).union(*(rule.request.without for rule in rules if rule.request is not None))


def _rule(ban: Ban | None) -> BanRule | None:
    if ban is None:
        return None
    return BanRule(refusals=ban.refusals, within=positive_duration(ban.within), seconds=positive_duration(ban.for_))

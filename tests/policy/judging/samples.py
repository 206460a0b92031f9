"""Parts that a policy is assembled from in tests, and requests for it."""

from collections.abc import Hashable, Mapping, Sequence

from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.document.sources import Source
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome, Question
from warp_twisted.policy.judging.compiler import CompiledPolicy, compile_policy
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.verdict import ALLOWED, Verdict
from warp_twisted.policy.visitor import Visitor


class SampleLimiter:
    """Grants each key as many units as the limit's burst or most, and never more until they are given back."""

    def __init__(self, limit: Limit) -> None:
        self.most = limit.most or limit.burst_units
        self.taken: dict[Hashable, float] = {}

    def take(self, key: Hashable, price: float, now: float) -> float:
        """Take units."""
        if self.taken.get(key, 0.0) + price > self.most:
            return 2.5
        self.taken[key] = self.taken.get(key, 0.0) + price
        return 0.0

    def give_back(self, key: Hashable, price: float) -> None:
        """Give units back."""
        self.taken[key] -= price


class SampleCheck:
    """
    Proves whoever says `Authorization: KIND NAME`, but for some names.

    `bad` is refused, `busy` cannot be checked now, `slow` is asked about, `bug` is one.
    """

    def __init__(self, kind: str, subject: str) -> None:
        self.kind = kind
        self.subject = subject
        self.challenge = None if kind == "client_certificate" else f'{kind} realm="Warp"'.encode()
        self.carriers = (b"authorization",)
        self.authorities: tuple[bytes, ...] = ()

    def look(self, facts: Facts, now: float, wall: float) -> Answer | Question:
        """Look at a request."""
        for value in facts.field(b"authorization").all:
            kind, _, name = value.decode().partition(" ")
            if kind != self.kind:
                continue
            if name == "bad":
                return Answer(Outcome.REFUSED, reason="wrong password")
            if name == "busy":
                return Answer(Outcome.BUSY)
            if name == "slow":
                return Question(self.kind, self.subject, value)
            if name == "bug":
                raise KeyError("sample")
            return proven(kind, name)
        return ABSENT


class SampleParts:
    """Makes sample parts, and keeps them by where they stand."""

    def __init__(self, files: Mapping[str, Sequence[str]] = {}) -> None:
        self._files = files
        self.limiters: dict[str, SampleLimiter] = {}
        self.wheres: list[str] = []

    def source_set(self, entries: Sequence[Source], where: str) -> PrefixSet:
        """Make a set of addresses."""
        self.wheres.append(where)
        lines: list[str] = []
        for entry in entries:
            lines += [entry] if isinstance(entry, str) else self._files[entry.file or ""]
        return PrefixSet.of(lines)

    def limiter(self, limit: Limit, rule: str, where: str) -> SampleLimiter:
        """Make a limiter."""
        self.wheres.append(where)
        made = self.limiters[f"{rule}.{limit.name}"] = SampleLimiter(limit)
        return made

    def check(self, proof: Proof, where: str) -> SampleCheck:
        """Make a check."""
        self.wheres.append(where)
        kinds = ("basic", "jwt", "service_token", "client_certificate")
        return SampleCheck(next(kind for kind in kinds if getattr(proof, kind) is not None), where)


def proven(kind: str, name: str) -> Answer:
    """Return the answer that somebody is known."""
    return Answer(Outcome.PROVEN, Identity(kind, name))


def compiled(text: str, parts: SampleParts | None = None) -> CompiledPolicy:
    """Compile a policy."""
    return compile_policy(parse_policy(text, "policy.yaml"), parts or SampleParts())


def request(
    line: str = "GET /",
    *lines: str,
    host: str = "app.warp.example",
    address: str = "192.0.2.1",
    scheme: str = "https",
    labels: Sequence[Mapping[str, str]] = (),
) -> Facts:
    """Return a request: method and target, and lines of fields."""
    method, _, target = line.partition(" ")
    section = "".join(f"{each}\r\n" for each in lines).encode("latin-1")
    visitor = Visitor(address, address)
    return Facts(host, method.encode(), target.encode("latin-1"), scheme, visitor, section, tuple(labels))


def judged(policy: str | CompiledPolicy, facts: Facts | str, **more: object) -> Verdict:
    """Return the verdict on a request, given as a line or as facts."""
    if isinstance(policy, str):
        policy = compiled(policy)
    if isinstance(facts, str):
        facts = request(facts)
    program = policy.program_for(facts.hostname)
    return ALLOWED if program is None else program.judge(facts, 100.0, 1_800_000_000.0, **more)  # type: ignore[arg-type]


def said(policy: str | CompiledPolicy, facts: Facts | str) -> str:
    """Return a verdict as text: the action, or rule and reason of an objection."""
    verdict = judged(policy, facts)
    if verdict.errors:
        raise verdict.errors[0]
    objection = verdict.objection
    return verdict.action.value if objection is None else f"{objection.rule}: {objection.reason.slug}"

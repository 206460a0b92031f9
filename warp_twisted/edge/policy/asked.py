"""
What agents ask this edge to enforce for their hostnames, beside the operator's policy: compiled, and kept with tunnels.

A hostname is judged by what each of its tunnels has asked, together, so that whoever asks for something never gets less
because another one asks for less. What is equal is compiled once and counts once, whoever asks for it. Nothing here
outlives the tunnels, and an agent asks anew with each tunnel that it opens.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from weakref import WeakValueDictionary

from warp_base.reactor import InThread
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.authentication.users import MAX_WORK_OF_AGENTS, user_problem
from warp_twisted.policy.document.asked import AskedPolicy, AskedRule
from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import Source
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.interfaces import Check
from warp_twisted.policy.judging.compiler import compile_rule
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.judging.rules import CompiledRule
from warp_twisted.policy.limiters import ConcurrencyLimiter, RateLimiter, make_limiter
from warp_twisted.policy.sources.prefixes import PrefixSet

LAST = 1_000_000  # the order of such rules: behind all of the operator's
MAX_KEYS = 2_000  # of a limit that have counts of their own; more share counts: 0.8 MB
MAX_REMEMBERED = 1_000  # passwords of a list of users: 0.3 MB
MAX_ASKS = 16  # different ones for one hostname, each of which judges its requests
SUBJECT = "agent:"  # what the subjects of such checks begin with; those of the operator's are paths of keys


class Ask:
    """
    One thing that is asked, compiled.

    :ivar rule: what judges.
    :ivar passwords: its checks whose questions are answered in threads, by their subject.
    """

    __slots__ = ("__weakref__", "passwords", "rule")

    def __init__(self, rule: CompiledRule, passwords: Mapping[str, BasicCheck]) -> None:
        self.rule = rule
        self.passwords = passwords


class AskedProgram(Program):
    """
    The rules of one hostname, with those that agents ask for it.

    :ivar asks: the latter.
    """

    def __init__(self, program: Program | None, asks: "Asks") -> None:
        super().__init__((ask.rule for ask in asks), behind=program)
        self.asks = asks


Asks = tuple[Ask, ...]
NOTHING: Asks = ()


class AskedPolicies:
    """
    What is asked now.

    :param in_thread: reads and compiles what is asked.
    :ivar changed: called with a hostname, or pattern, for which something else is asked from now on.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._compiled: WeakValueDictionary[str, Ask] = WeakValueDictionary()
        self._of_tunnel: dict[object, Mapping[str, Asks]] = {}
        self._askers: dict[str, dict[Ask, int]] = {}  # hostname → what is asked for it, and by how many tunnels
        self._asks: dict[str, Asks] = {}
        self.changed: Callable[[str], None] = lambda hostname: None

    def __bool__(self) -> bool:
        """Whether anything is asked for any hostname."""
        return bool(self._asks)

    def of(self, hostname: str) -> Asks:
        """Return what is asked for a hostname, or pattern, as it is served."""
        return self._asks.get(hostname, NOTHING)

    def are_covered(self, hostname: str, judged: Program | None) -> bool:
        """Whether all that is asked for a hostname now was asked when a request was judged; None: by nothing."""
        asks = self._asks.get(hostname, NOTHING)
        return not asks or (isinstance(judged, AskedProgram) and set(asks) <= set(judged.asks))

    def password_check(self, subject: str) -> BasicCheck | None:
        """Return the check that asks a question."""
        ask = self._compiled.get(subject.removeprefix(SUBJECT).partition(".")[0])
        return ask.passwords.get(subject) if ask is not None else None

    async def read(
        self, text: str, hostnames: Mapping[str, str], agent: str, left_out: Collection[str] = ()
    ) -> Mapping[str, Asks]:
        """
        Read what an agent asks.

        :param text: as in its hello; empty: nothing.
        :param hostnames: as the agent offers them → as they are served.
        :param agent: which asks it.
        :param left_out: hostnames that it offers and may not serve: nothing is asked for them.
        :returns: hostname, or pattern, as it is served → what is asked for it.
        :raises OfferRefused: if it cannot be enforced as it stands, or is for hostnames that the agent does not offer.
        """
        if not text:
            return {}
        try:
            compiled = await self._in_thread(lambda: _compile(text, agent, self._compiled.get))
        except InvalidPolicy as error:
            raise OfferRefused("not_allowed", f"the policy that the agent asks for cannot be used: {error}") from error
        asked: dict[str, Asks] = {}
        for offered, key, fresh in compiled:
            ask = self._compiled.setdefault(key, fresh)
            for hostname in offered:
                if hostname in left_out:
                    continue
                if hostname not in hostnames:
                    raise OfferRefused(
                        "not_allowed", f"the policy that the agent asks for names {hostname!r}, which it does not offer"
                    )
                served = hostnames[hostname]
                asked[served] = tuple(dict.fromkeys((*asked.get(served, NOTHING), ask)))
        return asked

    def put(self, tunnel: object, asked: Mapping[str, Asks]) -> None:
        """
        Judge the hostnames of a tunnel by this as well, from now on.

        :raises OfferRefused: if too many different things would be asked for a hostname; then nothing has changed.
        """
        for hostname, asks in asked.items():
            if len({*self._askers.get(hostname, ()), *asks}) > MAX_ASKS:
                raise OfferRefused(
                    "overloaded", f"the agents of {hostname} ask for more than {MAX_ASKS} different things", retry=True
                )
        if asked:
            self._of_tunnel[tunnel] = asked
        for hostname, asks in asked.items():
            askers = self._askers.setdefault(hostname, {})
            before = len(askers)
            for ask in asks:
                askers[ask] = askers.get(ask, 0) + 1
            if len(askers) != before:
                self._asks[hostname] = tuple(askers)
                self.changed(hostname)

    def remove(self, tunnel: object) -> None:
        """Nothing is sent through a tunnel any more, and nothing is asked for it."""
        for hostname, asks in self._of_tunnel.pop(tunnel, {}).items():
            askers = self._askers[hostname]
            before = len(askers)
            for ask in asks:
                askers[ask] -= 1
                if not askers[ask]:
                    del askers[ask]
            if len(askers) == before:
                continue
            if askers:
                self._asks[hostname] = tuple(askers)
            else:
                del self._asks[hostname], self._askers[hostname]
            self.changed(hostname)


def _compile(text: str, agent: str, known: Callable[[str], Ask | None]) -> Sequence[tuple[Sequence[str], str, Ask]]:
    """Read and compile a text; runs in a thread. Returns hostnames as offered, what tells asks apart, and the ask."""
    compiled = []
    for index, rule in enumerate(AskedPolicy.parse(text).rules):
        key = sha256(rule.content).hexdigest()
        compiled.append((rule.hostnames, key, known(key) or _ask(rule, key, agent, f"rules[{index}]")))
    return compiled


def _ask(rule: AskedRule, key: str, agent: str, where: str) -> Ask:
    parts = _AskedParts(rule, key, agent)
    return Ask(compile_rule(rule.rule(), LAST, parts, where), parts.passwords)


class _AskedParts:
    """
    Makes the parts of one rule: all that they need is in it.

    :ivar passwords: the checks that were made, by their subject.
    """

    def __init__(self, rule: AskedRule, key: str, agent: str) -> None:
        self._proofs = rule.proofs
        self._key = key
        self._agent = agent
        self.passwords: dict[str, BasicCheck] = {}

    def source_set(self, entries: Sequence[Source], where: str) -> PrefixSet:
        """Make a set of prefixes."""
        return PrefixSet.of(entry for entry in entries if isinstance(entry, str))

    def limiter(self, limit: Limit, rule: str, where: str) -> RateLimiter | ConcurrencyLimiter:
        """Make a limiter."""
        return make_limiter(limit, MAX_KEYS)

    def check(self, proof: Proof, where: str) -> Check:
        """Make a check of passwords."""
        if proof.basic is None:
            raise InvalidPolicy(f"{where}: an agent asks for basic only")
        number = proof.basic.users_file
        users = self._proofs[int(number)].users
        for name, hash_text in users.items():
            problem = user_problem(name, hash_text, MAX_WORK_OF_AGENTS)
            if problem:
                raise InvalidPolicy(f"{where}.basic.users: {problem}")
        subject = f"{SUBJECT}{self._key}.{number}"
        check = self.passwords[subject] = BasicCheck(
            subject, proof.basic.realm, users, MAX_REMEMBERED, asker=self._agent
        )
        return check

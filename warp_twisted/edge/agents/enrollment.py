"""
Letting agents in: join token → agent record → certificate, later renewals, and revocation.

The judgement of tokens is `ca.tokens`', the making of certificates `ca.issue`'s; this is the order in which the
registry hears of it. A use of a token is counted by compare-and-set together with the agent's record, so two agents
that come at the same moment with a token for one do not both get in. An agent's id comes from its key, so an agent that
did not hear the answer and asks again with the same key gets its certificate, and uses the token no second time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.ca.errors import CaError, KeyRevoked, TokenRefused
from warp_twisted.ca.issue import check_permitted, issue_agent, read_request, to_pem, utc
from warp_twisted.ca.returning import key_fingerprint
from warp_twisted.ca.store import EdgeAuthority
from warp_twisted.ca.tokens import check_secret, check_token, format_token, new_token
from warp_twisted.clock_difference import remark
from warp_twisted.edge.agents.offers import check_number, check_wishes, merge_labels
from warp_twisted.edge.errors import AgentUnknown, OfferRefused, TokenNotFound
from warp_twisted.edge.owners.ownership import Ownership
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import InvalidName
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import AGENTS, NAMES, REVOCATIONS, TOKENS, Agent, JoinToken, Revocation, decode, encode
from warp_twisted.registry.store import Delete, Expect, Put, Store
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, Renewed, RenewRefused

ATTEMPTS = 5  # at a token that others use in the same moment
AGENT_ID = re.compile(r"a-[0-9a-f]{16}")  # as `agent_id` makes them


UNAVAILABLE_SECONDS = 2.0  # after which an agent may ask again when the registry was away


def agent_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the id of the agent that enrolls with a key."""
    return f"a-{key_fingerprint(key)[:16]}"


def issued_until(chain_pem: str) -> float:
    """Return when the first certificate of a chain that was just issued ends."""
    return x509.load_pem_x509_certificate(chain_pem.encode()).not_valid_after_utc.timestamp()


class Enrollment:
    """
    Who may become an agent of this fleet, and who no longer is one.

    :param settings: returns the settings as they are now.
    :param is_reserved: whether a hostname belongs to the zone itself.
    :param issued: called with the record of an agent that gets its next certificate, and with the same as it is to be;
        writes that down as soon as it can, and tells the other edges.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        authority: EdgeAuthority,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        is_reserved: Callable[[str], bool],
        ownership: Ownership,
        issued: Callable[[Agent, Agent], None],
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._authority = authority
        self._wall = wall
        self._settings = settings
        self._is_reserved = is_reserved
        self._ownership = ownership
        self.issued = issued
        self._enrolling = DeferredLock()  # those of one edge do not compete for the uses of a token
        self.enrolled = 0
        self.refused: dict[str, int] = {}

    @property
    def roots_pem(self) -> str:
        """The roots that an agent of this fleet may trust."""
        return self._authority.roots_pem

    async def enroll(self, request: EnrollRequest) -> Enrolled | EnrollRefused:
        """Judge a join token, and make its holder an agent."""
        try:
            agent, chain = await self._enrolling.run(lambda: Deferred.fromCoroutine(self._enroll(request)))
        except (TokenRefused, OfferRefused) as error:
            return self.refuse(error.code, error)
        except (CaError, InvalidName) as error:
            return self.refuse("bad_request", error)
        except RegistryError as error:
            return self.refuse("unavailable", error, UNAVAILABLE_SECONDS)
        self.enrolled += 1
        self._log.info(
            "agent {agent} of group {group} enrolled with token {token} for {hostnames}{clock}",
            agent=agent.id, group=agent.group, token=agent.token, hostnames=", ".join(agent.hostnames),
            clock=remark(request.time, self._wall.now()),
        )  # fmt: skip
        return Enrolled(
            agent_id=agent.id,
            chain_pem=chain,
            root_pem=self.roots_pem,
            hostnames=list(agent.hostnames),
        )

    def renew(self, agent: str, csr_pem: str) -> Renewed | RenewRefused:
        """Issue the next certificate of an enrolled agent, for the hostnames that its record allows now."""
        record = self._mirror.agents.get(agent)
        if agent in self._mirror.revocations or record is None:
            return RenewRefused(code="revoked", reason=f"agent {agent} is not enrolled any more")
        try:
            key = read_request(csr_pem)
            chain = self.issue(record, key)
        except CaError as error:
            self._log.warn("no certificate for {agent}: {error}", agent=agent, error=error)
            return RenewRefused(code="bad_request", reason=str(error))
        renewed = replace(record, expires_at=issued_until(chain), key_sha256=key_fingerprint(key))
        self.issued(record, renewed)
        return Renewed(chain_pem=chain, time=self._wall.now())

    async def create_token(
        self,
        *,
        edges: Sequence[str],
        hostnames: Sequence[str],
        labels: Mapping[str, str],
        uses: int,
        ttl_seconds: float,
        share: str = "",
        policy: bool = True,
    ) -> tuple[JoinToken, str]:
        """
        Make a join token, and forget those whose time is over.

        :param share: a word for the group of the agents, which share hostnames; empty: the token's id.
        :param policy: whether they may ask for a policy of their own.
        :returns: what the registry keeps, and the text for the agent, which is not kept anywhere.
        :raises InvalidName: if a hostname pattern, label or share word is none, or nobody could serve a hostname.
        :raises CaError: if a pattern is outside what this edge may issue for.
        :raises ValueError: if a number is out of bounds.
        """
        kept, text = new_token(
            edges=edges,
            fingerprint=self._authority.root_fingerprint,
            hostnames=hostnames,
            labels=labels,
            uses=uses,
            ttl_seconds=ttl_seconds,
            now=self._wall.now(),
            share=share,
            policy=policy,
        )
        self._check_servable(kept.hostnames)
        check_permitted(self._authority.issuer, [HostnamePattern.parse(text) for text in kept.hostnames])
        old = [token.key for token in self._mirror.tokens.values() if token.expires_at <= self._wall.now()]
        await self._store.transact([Expect(kept.key)], [Put(kept.key, encode(kept)), *map(Delete, old)])
        return kept, format_token(text)

    def _check_servable(self, patterns: Sequence[str]) -> None:
        """
        Refuse patterns of which every hostname belongs to the zone itself.

        :raises InvalidName: naming the first.
        """
        for text in patterns:
            if self._is_reserved(text):
                raise InvalidName(
                    f"{text} is kept for the zone itself (its edges, name servers, and labels that begin with _), so no"
                    " agent could serve it"
                )

    async def revoke_token(self, token: str) -> None:
        """
        Let nobody in with a token any more; agents that it let in stay.

        :raises TokenNotFound: if there is none.
        """
        if await self._store.get(TOKENS + token) is None:
            raise TokenNotFound(f"no join token {token} exists")
        await self._store.insist([Delete(TOKENS + token)])

    async def revoke_agent(self, agent: str, reason: str = "") -> bool:
        """
        Cut an agent off: every edge that hears of it closes its tunnels, and nobody lets it in again.

        It need not be known here: a registry that was restored from a backup may have forgotten an agent that enrolled
        later, and its certificate is good all the same.

        :returns: whether the agent was known here: enrolled, connected, or revoked before.
        :raises AgentUnknown: if there is none, and this is no agent's id.
        """
        if agent in self._mirror.revocations:
            return True
        is_connected = any(tunnel.agent == agent for tunnel in self._mirror.tunnels.values())
        is_known = is_connected or await self._store.get(AGENTS + agent) is not None
        if not is_known and not AGENT_ID.fullmatch(agent):
            raise AgentUnknown(f"no agent {agent} is enrolled, and an agent's id is a- with 16 hexadecimal digits")
        record = self._mirror.agents.get(agent)
        revocation = Revocation(agent=agent, revoked_at=self._wall.now(), reason=reason)
        names = [NAMES + given.hostname for given in self._mirror.given_names.values() if given.agent == agent]
        await self._store.insist(
            [Put(REVOCATIONS + agent, encode(revocation)), Delete(AGENTS + agent), *map(Delete, names)]
        )
        self._log.info("agent {agent} was revoked: {reason}", agent=agent, reason=reason)
        await self._ownership.agent_revoked(record.group if record is not None and record.group else agent)
        return is_known

    def issue(self, agent: Agent, key: ec.EllipticCurvePublicKey) -> str:
        """
        Make an agent's next certificate, for the hostnames that its record allows.

        :returns: the chain, leaf first, as PEM.
        :raises CaError: if this edge cannot issue it.
        """
        issuer = self._authority.issuer
        lifetime = timedelta(seconds=self._settings().ca.agent_lifetime)
        certificate = issue_agent(issuer, key, agent.id, agent.patterns, utc(self._wall.now()), lifetime)
        return to_pem(certificate, *issuer.chain)

    def refuse(self, code: str, error: Exception, retry_seconds: float = 0.0) -> EnrollRefused:
        """Count a refusal, and say it in the log and to the agent."""
        self.count_refusal(code)
        self._log.warn("an enrollment is refused: {error}", error=error)
        return EnrollRefused(code=code, reason=str(error), retry_seconds=retry_seconds)

    def count_refusal(self, code: str) -> None:
        """Count an agent that was not let in."""
        self.refused[code] = self.refused.get(code, 0) + 1

    async def _enroll(self, request: EnrollRequest) -> tuple[Agent, str]:
        for _ in range(ATTEMPTS):
            item = await self._store.get(TOKENS + request.token_id)
            found = decode(item.key, item.value) if item else None
            token = check_secret(found if isinstance(found, JoinToken) else None, request.secret)
            key = read_request(request.csr_pem)
            known = await self._store.get(AGENTS + agent_id(key))
            agent = decode(known.key, known.value) if known else None
            now = self._wall.now()
            if isinstance(agent, Agent) and agent.token == token.id and now < token.expires_at:
                used = token
            else:
                agent = self._new_agent(request, check_token(token, request.secret, now), key, now)
                used = replace(token, uses_left=token.uses_left - 1)
            chain = self.issue(agent, key)
            agent = replace(agent, expires_at=issued_until(chain))
            if await self._store.transact(
                [Expect(token.key, item.modified if item else 0), Expect(agent.key, known.modified if known else 0)],
                [Put(token.key, encode(used)), Put(agent.key, encode(agent))],
            ):
                return agent, chain
        raise RegistryError("too many agents use this join token at the same moment; try again")

    def _new_agent(self, request: EnrollRequest, token: JoinToken, key: ec.EllipticCurvePublicKey, now: float) -> Agent:
        self._check_offer(request, token)
        if agent_id(key) in self._mirror.revocations:
            raise KeyRevoked()
        return Agent(
            id=agent_id(key),
            hostnames=token.hostnames,
            labels=token.labels,
            token=token.id,
            group=token.group,
            policy=token.policy,
            enrolled_at=now,
            key_sha256=key_fingerprint(key),
        )

    def _check_offer(self, request: EnrollRequest, token: JoinToken) -> None:
        """
        Refuse what the edge would refuse of the agent's tunnels, before a use of the token is counted.

        :raises OfferRefused: naming it.
        """
        check_number(request.routes, self._settings().limits)
        patterns = [HostnamePattern.parse(text) for text in token.hostnames]
        check_wishes(request.hostnames, patterns, self._is_reserved)
        merge_labels(request.labels, token.labels)
        for hostname in request.hostnames:
            if hostname in self._mirror.given_names:
                raise OfferRefused("conflict", f"{hostname} was given to another agent; the token was not used up")
        wanted = [HostnamePattern.parse(hostname).text for hostname in request.hostnames if hostname]
        try:
            self._ownership.check(token.group, patterns, wanted)
        except OfferRefused as error:
            raise OfferRefused(error.code, f"{error.reason}; the token was not used up") from error

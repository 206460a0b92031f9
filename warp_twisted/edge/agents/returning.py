"""
Letting agents back in whose certificate has ended: judged by their proof, their record, and how long they were away.

The proof is `ca.returning`'s. An agent that is not known, was revoked, or shows another key than that of its newest
certificate stays out, and is told what helps: a new join token. A record that does not know its key yet, of an agent
that enrolled before records did, learns it here, by compare-and-set, before anything is issued; one that knows it lets
its agent in also while the registry takes no changes. Costs about 1 ms before the agent has proven anything, which the
rate of handshakes bounds; from then on each agent pays for itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptography import x509
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.token_buckets import TokenBuckets
from warp_base.wall_clock import WallClock
from warp_twisted.ca.errors import BadCertificate, CaError
from warp_twisted.ca.returning import ProvenAgent, prove_return
from warp_twisted.clock_difference import remark
from warp_twisted.edge.agents.admission import WAY_OUT, revocation_sentence
from warp_twisted.edge.agents.enrollment import UNAVAILABLE_SECONDS, Enrollment, issued_until
from warp_twisted.edge.errors import ReturnRefused
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, decode, encode
from warp_twisted.registry.store import Expect, Put, Store
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.wire.control import Enrolled, EnrollRefused, ReturnRequest

ATTEMPTS = 3  # at a record that changes in the same moment
RETURNS_PER_SECOND, RETURNS_BURST = 0.1, 5.0  # of one agent, which needs one after each outage


class Returning:
    """
    Who may come back.

    :param roots: of this fleet.
    :param enrollment: issues certificates, and counts who is not let in.
    :param clock: for rates.
    :param wall: says how long an agent was away.
    :param settings: returns the settings as they are now.
    :ivar returned: agents that came back since the start.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        roots: Sequence[x509.Certificate],
        enrollment: Enrollment,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._roots = roots
        self._enrollment = enrollment
        self._clock = clock
        self._settings = settings
        self._wall = wall
        self._rate = TokenBuckets(RETURNS_PER_SECOND, RETURNS_BURST)
        self.returned = 0

    async def let_in(self, request: ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
        """Judge an agent that wants to return, and make its next certificate."""
        now = self._wall.now()
        agent = "?"
        try:
            proven = prove_return(request.chain_pem, request.signature, asker.nonce, self._roots, now)
            agent = proven.identity.id
            record, chain = await self._let_in(proven, now)
        except ReturnRefused as error:
            return self._refuse(agent, asker, error.code, str(error), error.retry_seconds)
        except BadCertificate as error:
            return self._refuse(agent, asker, "not_proven", f"{error}; {WAY_OUT}")
        except CaError as error:
            return self._refuse(agent, asker, "bad_request", str(error))
        except RegistryError as error:
            return self._refuse(agent, asker, "unavailable", str(error), UNAVAILABLE_SECONDS)
        self.returned += 1
        self._log.info(
            "agent {agent} at {address} is back, {hours:.2f} h after its certificate ended{clock}",
            agent=agent, address=asker.address, hours=(now - proven.identity.expires_at) / 3600,
            clock=remark(request.time, now),
        )  # fmt: skip
        return Enrolled(
            agent_id=agent, chain_pem=chain, root_pem=self._enrollment.roots_pem, hostnames=list(record.hostnames)
        )

    async def _let_in(self, proven: ProvenAgent, now: float) -> tuple[Agent, str]:
        """
        Issue for a proven agent if it may come back, and note until when it has a certificate.

        :raises ReturnRefused: if it may not, or not now.
        """
        revocation = self._mirror.revocations.get(proven.identity.id)
        if revocation is not None:
            raise ReturnRefused("revoked", f"{revocation_sentence(revocation)}; {WAY_OUT}")
        self._check_absence(now - proven.identity.expires_at)
        # By key: who holds an older one of the agent's, which lets nobody in, must not use up the agent's own returns.
        if wait := self._rate.take(proven.key_sha256, self._clock.seconds()):
            raise ReturnRefused("overloaded", f"this agent returns too often; {wait:.0f} s from now it may", wait)
        for _ in range(ATTEMPTS):
            record = self._mirror.agents.get(proven.identity.id)
            item = None if record is None else await self._store.get(record.key)
            found = None if item is None else decode(item.key, item.value)
            if item is None or not isinstance(found, Agent):
                raise ReturnRefused(
                    "agent_unknown", f"this fleet has no record of agent {proven.identity.id} any more; {WAY_OUT}"
                )
            if found.key_sha256 not in ("", proven.key_sha256):
                raise ReturnRefused("other_key", f"agent {found.id} has a certificate for another key; {WAY_OUT}")
            chain = self._enrollment.issue(found, proven.key)
            back = replace(found, key_sha256=proven.key_sha256, expires_at=issued_until(chain))
            expected = [Expect(found.key, item.modified)]
            try:
                is_noted = await self._store.transact(expected, [Put(found.key, encode(back))])
            except RegistryError:
                if not found.key_sha256:
                    raise
                self._enrollment.issued(found, back)  # the key is known already; until when is written down later
                is_noted = True
            if is_noted:
                return back, chain
        raise RegistryError("the record of this agent changes too often; try again")

    def _check_absence(self, seconds: float) -> None:
        most = self._settings().ca.agent_absence
        if not most:
            raise ReturnRefused("returns_off", f"this fleet lets no agent return (ca.agent_absence is 0); {WAY_OUT}")
        if seconds > most:
            raise ReturnRefused(
                "absent_too_long",
                f"the certificate ended {seconds / 86400:.1f} days ago and {most / 86400:g} is most"
                f" (ca.agent_absence); {WAY_OUT}",
            )

    def _refuse(self, agent: str, asker: Asker, code: str, reason: str, retry_seconds: float = 0.0) -> EnrollRefused:
        self._enrollment.count_refusal(code)
        self._log.warn(
            "agent {agent} at {address} does not get back in: {reason}",
            agent=agent, address=asker.address, reason=reason,
        )  # fmt: skip
        return EnrollRefused(code=code, reason=reason, retry_seconds=retry_seconds)

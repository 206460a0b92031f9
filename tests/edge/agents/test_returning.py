"""Tests of letting agents back in: who may return, for how long, and how often."""

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import fail

from tests.case import AsyncTestCase
from tests.edge.control import CA, NOW, Control, make_authority, make_settings
from warp_twisted.ca.issue import issue_agent, new_key, to_pem, utc
from warp_twisted.ca.returning import key_fingerprint, sign_return
from warp_twisted.edge.agents.returning import ATTEMPTS, RETURNS_BURST, RETURNS_PER_SECOND
from warp_twisted.edge.peers.renewals import RETRY_SECONDS
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.model import Agent, encode
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.wire.control import Enrolled, EnrollRefused, ReturnRequest

DAY = 86400.0
ASKER = Asker(nonce="5a" * 32, address="192.0.2.9")


class ReturningTests(AsyncTestCase):
    """An agent whose certificate ended."""

    async def prepare(self) -> None:
        """Start an edge that knows an agent, whose certificate ends in a day."""
        self.control = Control()
        await self.control.start()
        self.addCleanup(self.control.stop)
        self.key = new_key()
        await self.known()
        self.chain = self.issue(self.key)

    async def known(self, hostname: str = "*.warp.example", key_sha256: str | None = None) -> None:
        """Write down the agent, with its key unless another is given."""
        if key_sha256 is None:
            key_sha256 = key_fingerprint(self.key.public_key())
        record = Agent(id="a-1", hostnames=(hostname,), key_sha256=key_sha256)
        await self.control.store.put(record.key, encode(record))

    def issue(self, key: ec.EllipticCurvePrivateKey, agent: str = "a-1") -> str:
        """Issue a certificate for a day."""
        issuer = self.control.authority.issuer
        patterns = [HostnamePattern.parse("*.warp.example")]
        return to_pem(issue_agent(issuer, key.public_key(), agent, patterns, utc(NOW)), *issuer.chain)

    async def returns(
        self, chain: str = "", key: ec.EllipticCurvePrivateKey | None = None, asker: Asker = ASKER
    ) -> Enrolled | EnrollRefused:
        """Ask as the agent does, with what is changed."""
        chain = chain or self.chain
        request = ReturnRequest(chain_pem=chain, signature=sign_return(key or self.key, ASKER.nonce, chain))
        return await self.control.returning.let_in(request, asker)

    async def code(self, chain: str = "", key: ec.EllipticCurvePrivateKey | None = None, asker: Asker = ASKER) -> str:
        """Return why it stays out."""
        answer = await self.returns(chain, key, asker)
        self.assertIsInstance(answer, EnrollRefused)
        return answer.code if isinstance(answer, EnrollRefused) else ""

    async def test_back(self) -> None:
        """It gets a certificate for the same key, for the hostnames of its record now, and the end is written down."""
        await self.known("*.team.warp.example")
        self.control.clock.advance(3 * DAY)
        answer = await self.returns()
        assert isinstance(answer, Enrolled), answer
        self.assertEqual((answer.agent_id, answer.hostnames), ("a-1", ["*.team.warp.example"]))
        self.assertEqual(self.control.mirror.agents["a-1"].expires_at, NOW + 4 * DAY)
        self.assertEqual(self.control.returning.returned, 1)
        self.control.clock.advance(3 * DAY)
        self.assertIsInstance(await self.returns(answer.chain_pem), Enrolled)

    async def test_key_is_learned(self) -> None:
        """A record of before keys were kept takes the key of the first return, and no other after it."""
        await self.known(key_sha256="")
        other = new_key()
        chain = self.issue(other)
        self.control.clock.advance(2 * DAY)
        self.assertIsInstance(await self.returns(), Enrolled)
        self.assertEqual(self.control.mirror.agents["a-1"].key_sha256, key_fingerprint(self.key.public_key()))
        self.assertEqual(await self.code(chain, key=other), "other_key")

    async def test_proof(self) -> None:
        """Who has the certificate and not the key, or a proof of another connection, learns nothing of the agent."""
        self.control.clock.advance(2 * DAY)
        await self.control.enrollment.revoke_agent("a-0123456789abcdef", "stolen")
        chain = self.issue(self.key, "a-0123456789abcdef")
        self.assertEqual(await self.code(chain, key=new_key()), "not_proven")
        self.assertEqual(await self.code(asker=Asker(nonce="5b" * 32, address="")), "not_proven")
        stranger = make_authority()
        patterns = [HostnamePattern.parse("*.warp.example")]
        forged = to_pem(issue_agent(stranger.issuer, self.key.public_key(), "a-1", patterns, utc(NOW)))
        self.assertEqual(await self.code(forged), "not_proven")

    async def test_revoked(self) -> None:
        """A revoked agent hears so, and why, and what lets the machine in again."""
        agent = "a-0123456789abcdef"
        await self.control.enrollment.revoke_agent(agent, "the laptop was stolen")
        self.control.clock.advance(2 * DAY)
        answer = await self.returns(self.issue(self.key, agent))
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "revoked")
        self.assertIn("was revoked: the laptop was stolen; a new join token", answer.reason)

    async def test_unknown(self) -> None:
        """An agent whose record is gone stays out, whatever its certificate said."""
        await self.control.store.delete("warp/agents/a-1")
        self.assertEqual(await self.code(), "agent_unknown")

    async def test_absence(self) -> None:
        """It may be away for as long as `ca.agent_absence` says; 0 lets nobody return."""
        self.control.settings = make_settings(ca={**CA, "agent_absence": 2 * DAY})
        self.control.clock.advance(3 * DAY)
        self.assertIsInstance(await self.returns(), Enrolled)
        self.control.clock.advance(1)
        answer = await self.returns()
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "absent_too_long")
        self.assertIn("ended 2.0 days ago and 2 is most", answer.reason)
        self.control.settings = make_settings(ca={**CA, "agent_absence": 0})
        self.assertEqual(await self.code(), "returns_off")

    async def test_rate(self) -> None:
        """Each agent pays for itself: one that keeps returning is told when it may, another at its address may now."""
        for _ in range(int(RETURNS_BURST)):
            self.assertIsInstance(await self.returns(), Enrolled)
        answer = await self.returns()
        assert isinstance(answer, EnrollRefused)
        self.assertEqual((answer.code, answer.retry_seconds), ("overloaded", 1 / RETURNS_PER_SECOND))
        key = new_key()
        other = Agent(id="a-2", hostnames=("*.warp.example",))
        await self.control.store.put(other.key, encode(other))
        self.assertIsInstance(await self.returns(self.issue(key, "a-2"), key), Enrolled)
        self.control.clock.advance(1 / RETURNS_PER_SECOND)
        self.assertIsInstance(await self.returns(), Enrolled)

    async def test_rate_of_an_older_key(self) -> None:
        """Whoever holds an older key of the agent stays out, however often it asks, and the agent is let in."""
        older = new_key()
        chain = self.issue(older)
        self.control.clock.advance(2 * DAY)
        for _ in range(int(RETURNS_BURST)):
            self.assertEqual(await self.code(chain, key=older), "other_key")
        self.assertEqual(await self.code(chain, key=older), "overloaded")
        self.assertIsInstance(await self.returns(), Enrolled)

    async def test_record_that_changes_meanwhile(self) -> None:
        """A record that another edge changes at the same moment is read again, for a while."""
        store = self.control.store
        transact, lost = store.transact, []

        async def lose(*arguments):  # type: ignore[no-untyped-def]
            lost.append(arguments)
            return False

        self.patch(store, "transact", lose)
        answer = await self.returns()
        assert isinstance(answer, EnrollRefused)
        self.assertEqual((answer.code, len(lost)), ("unavailable", ATTEMPTS))
        self.assertGreater(answer.retry_seconds, 0)
        self.patch(store, "transact", transact)
        self.assertIsInstance(await self.returns(), Enrolled)

    async def test_registry_that_takes_no_changes(self) -> None:
        """It returns as its record knows its key; other edges are told until when, which is written down later."""
        transact = self.control.store.transact
        self.patch(self.control.store, "transact", lambda *arguments: fail(StoreBroken("away")))
        self.assertIsInstance(await self.returns(), Enrolled)
        (key,) = self.control.renewals
        renewal = self.control.renewals.get(key)
        assert renewal is not None
        self.assertEqual(renewal.expires_at, NOW + DAY)
        self.patch(self.control.store, "transact", transact)
        self.control.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.control.mirror.agents["a-1"].expires_at, NOW + DAY)

    async def test_registry_away(self) -> None:
        """Without a registry nobody returns, and is told to come again."""
        await self.control.store.close()
        self.assertEqual(await self.code(), "unavailable")

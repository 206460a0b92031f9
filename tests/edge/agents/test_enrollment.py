"""Tests of letting agents in: the order of things, and the rate."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from tests.case import AsyncTestCase
from tests.edge.control import NOW, Control
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.ca.returning import key_fingerprint
from warp_twisted.ca.tokens import JoinTokenText, parse_token
from warp_twisted.edge.errors import AgentUnknown, TokenNotFound
from warp_twisted.errors import InvalidName
from warp_twisted.names import Hostname
from warp_twisted.registry.errors import StoreClosed
from warp_twisted.registry.model import GivenName, encode
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest


class EnrollmentTests(AsyncTestCase):
    """Tokens, agents and revocations in the registry."""

    async def prepare(self) -> None:
        """Start an edge."""
        self.control = Control()
        await self.control.start()
        self.enrollment = self.control.enrollment
        self.addCleanup(self.control.stop)

    async def token(
        self,
        uses: int = 1,
        ttl_seconds: float = 60,
        hostnames: Sequence[str] = ("*.team.warp.example",),
        share: str = "",
        policy: bool = True,
        **labels: str,
    ) -> JoinTokenText:
        """Make a join token."""
        _, text = await self.enrollment.create_token(
            edges=["192.0.2.1:7844"],
            hostnames=hostnames,
            labels=labels,
            uses=uses,
            ttl_seconds=ttl_seconds,
            share=share,
            policy=policy,
        )
        return parse_token(text)

    async def enroll(self, token: JoinTokenText, **changes: Any) -> Enrolled | EnrollRefused:
        """Ask as an agent does."""
        request: dict[str, Any] = {
            "token_id": token.id,
            "secret": token.secret,
            "csr_pem": new_request(new_key()),
            **changes,
        }
        return await self.enrollment.enroll(EnrollRequest(**request))

    async def test_enrolled(self) -> None:
        """A good token makes an agent with the token's hostnames and labels, and counts one use."""
        token = await self.token(uses=2, release="stable")
        answer = await self.enroll(token)
        assert isinstance(answer, Enrolled)
        agent = self.control.mirror.agents[answer.agent_id]
        self.assertEqual((agent.hostnames, agent.labels), (("*.team.warp.example",), {"release": "stable"}))
        self.assertEqual((agent.token, agent.enrolled_at), (token.id, NOW))
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 1)
        self.assertEqual(answer.chain_pem.count("BEGIN CERTIFICATE"), 2)
        self.assertEqual(answer.root_pem, self.control.authority.roots_pem)

    async def test_own_policy(self) -> None:
        """Whether agents may ask for a policy of their own is their token's to say, and stays with their record."""
        for policy in (True, False):
            answer = await self.enroll(await self.token(policy=policy))
            assert isinstance(answer, Enrolled)
            self.assertIs(self.control.mirror.agents[answer.agent_id].policy, policy)

    async def test_refusals_use_nothing(self) -> None:
        """A wrong secret and a bad request are counted by reason, and the token keeps its use."""
        token = await self.token()
        for changes in ({"secret": "00" * 32}, {"csr_pem": "nonsense"}):
            self.assertIsInstance(await self.enroll(token, **changes), EnrollRefused)
        self.assertEqual(self.enrollment.refused, {"token_unknown": 1, "bad_request": 1})
        self.assertIsInstance(await self.enroll(token), Enrolled)
        self.assertEqual(self.enrollment.enrolled, 1)

    async def test_hostnames_that_the_token_does_not_permit(self) -> None:
        """They are refused with those that it permits, and the token keeps its use."""
        token = await self.token()
        for wishes, words in (
            (["a.team.warp.example", "shop.warp.example"], "shop.warp.example is not permitted by the join token"),
            (["*.warp.example"], "which permits *.team.warp.example;"),
            (["team.warp.example"], "team.warp.example is not permitted"),
            (["no name"], "no name"),
        ):
            answer = await self.enroll(token, hostnames=wishes)
            assert isinstance(answer, EnrollRefused), wishes
            self.assertEqual(answer.code, "not_allowed")
            self.assertIn(words, answer.reason)
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 1)
        self.assertEqual(self.control.mirror.agents, {})
        wishes = ["a.team.warp.example", "*.b.team.warp.example", ""]
        self.assertIsInstance(await self.enroll(token, hostnames=wishes), Enrolled)

    async def test_what_the_edge_would_not_serve(self) -> None:
        """Names of the zone itself, too many routes, bad labels and a name given to another are refused beforehand."""
        token = await self.token(hostnames=["*.warp.example"])
        given = GivenName(hostname=Hostname("brave-otter.warp.example"), agent="a-1")
        await self.control.store.put(given.key, encode(given))
        for changes, words in (
            (
                {"hostnames": ["edge1.warp.example"]},
                "edge1.warp.example is kept for the zone itself; the token was not",
            ),
            ({"hostnames": [given.hostname]}, "was given to another agent; the token was not"),
            ({"routes": 101}, "101 routes; 100 is most"),
            ({"labels": {"-": "x"}}, "is not a label"),
        ):
            answer = await self.enroll(token, **changes)
            assert isinstance(answer, EnrollRefused), changes
            self.assertIn(words, answer.reason)
            self.assertEqual(answer.retry_seconds, 0)
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 1)
        self.assertIsInstance(await self.enroll(token, routes=100), Enrolled)

    async def test_groups(self) -> None:
        """The agents of a token are one group, which its share word or its id names, over renewals as well."""
        for share in ("", "shop"):
            token = await self.token(uses=2, share=share)
            for _ in range(2):
                answer = await self.enroll(token)
                assert isinstance(answer, Enrolled)
                self.enrollment.renew(answer.agent_id, new_request(new_key()))
                self.assertEqual(self.control.mirror.agents[answer.agent_id].group, share or token.id)

    async def test_hostname_of_another_group(self) -> None:
        """It is refused with its owner before a use of the token is counted; the owner's share word lets it in."""
        await self.control.enrolled("a-1", group="shop")
        self.control.connect("a-1").hello("app.team.warp.example")
        wishes = ["", "App.Team.warp.example"]
        token = await self.token()
        answer = await self.enroll(token, hostnames=wishes)
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "conflict")
        self.assertIn("app.team.warp.example belongs to the group shop since", answer.reason)
        self.assertIn("; the token was not used up", answer.reason)
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 1)
        self.assertIsInstance(await self.enroll(await self.token(share="shop"), hostnames=wishes), Enrolled)

    async def test_token_that_nobody_could_use(self) -> None:
        """A token is not made for what belongs to the zone itself, and nothing of it is kept."""
        for text in ("ns1.warp.example", "edge1.warp.example", "_acme-challenge.warp.example", "*._tcp.warp.example"):
            with self.assertRaisesRegex(InvalidName, f"{re.escape(text)} is kept for the zone itself"):
                await self.token(hostnames=["app.warp.example", text])
        self.assertEqual(self.control.mirror.tokens, {})
        await self.token(hostnames=["*.warp.example", "*.ns1.warp.example"])

    async def test_answer_that_was_lost(self) -> None:
        """Who asks again with the same token and key is the same agent, and uses the token no second time."""
        token = await self.token()
        csr = new_request(new_key())
        answers = [await self.enroll(token, csr_pem=csr) for _ in range(2)]
        first, second = (answer for answer in answers if isinstance(answer, Enrolled))
        self.assertEqual(first.agent_id, second.agent_id)
        self.assertEqual(list(self.control.mirror.agents), [first.agent_id])
        self.assertIsInstance(await self.enroll(token), EnrollRefused)
        self.control.clock.advance(60)
        self.assertIsInstance(await self.enroll(token, csr_pem=csr), EnrollRefused)

    async def test_crowd_with_one_token(self) -> None:
        """Many that come at once with one token get in one after the other, none of them turned away."""
        token = await self.token(uses=20)
        asking = [Deferred.fromCoroutine(self.enroll(token)) for _ in range(20)]
        answers = [await each for each in asking]
        self.assertEqual([type(answer) for answer in answers], [Enrolled] * 20)
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 0)

    async def test_key_of_a_revoked_agent(self) -> None:
        """It needs a new token and a new key."""
        token = await self.token(uses=3)
        csr = new_request(new_key())
        answer = await self.enroll(token, csr_pem=csr)
        assert isinstance(answer, Enrolled)
        await self.enrollment.revoke_agent(answer.agent_id)
        refused = await self.enroll(token, csr_pem=csr)
        self.assertEqual(refused.code if isinstance(refused, EnrollRefused) else "", "key_revoked")
        self.assertEqual(self.control.mirror.tokens[token.id].uses_left, 2)
        self.assertIsInstance(await self.enroll(token), Enrolled)

    async def test_key_is_known(self) -> None:
        """The record names the key of the newest certificate: of the first, and of the one that was renewed."""
        first, second = new_key(), new_key()
        answer = await self.enroll(await self.token(), csr_pem=new_request(first))
        assert isinstance(answer, Enrolled)
        kept = [self.control.mirror.agents[answer.agent_id].key_sha256]
        self.enrollment.renew(answer.agent_id, new_request(second))
        self.control.clock.advance(0)
        kept.append(self.control.mirror.agents[answer.agent_id].key_sha256)
        self.assertEqual(kept, [key_fingerprint(key.public_key()) for key in (first, second)])

    async def test_name_that_the_token_cannot_give(self) -> None:
        """An agent that wants a name made up needs a token with a pattern."""
        token = await self.token(hostnames=["app.warp.example"])
        answer = await self.enroll(token, hostnames=[""])
        assert isinstance(answer, EnrollRefused)
        self.assertIn("a name of the edge's choice is not permitted", answer.reason)
        self.assertIsInstance(await self.enroll(token, hostnames=["app.warp.example"]), Enrolled)

    async def test_who_has_no_secret_learns_nothing(self) -> None:
        """What a token permits is told only to who holds it."""
        answer = await self.enroll(await self.token(), secret="00" * 32, hostnames=["x.example"])
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "token_unknown")

    async def test_token_ends(self) -> None:
        """A token lets nobody in after its time, and is forgotten when the next one is made."""
        token = await self.token(ttl_seconds=10)
        self.control.clock.advance(10)
        answer = await self.enroll(token)
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "token_expired")
        await self.token()
        self.assertNotIn(token.id, self.control.mirror.tokens)

    async def test_registry_away(self) -> None:
        """When the registry cannot be asked nobody is let in, and the agent is told to come again."""
        token = await self.token()
        await self.control.store.close()
        answer = await self.enroll(token)
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "unavailable")
        self.assertGreater(answer.retry_seconds, 0)
        with self.assertRaises(StoreClosed):
            await self.token()

    async def test_revoking_twice(self) -> None:
        """Revoking an agent again changes nothing; revoking what is no agent's id is an error."""
        answer = await self.enroll(await self.token())
        assert isinstance(answer, Enrolled)
        self.assertTrue(await self.enrollment.revoke_agent(answer.agent_id, "first"))
        self.assertTrue(await self.enrollment.revoke_agent(answer.agent_id, "second"))
        self.assertEqual(self.control.mirror.revocations[answer.agent_id].reason, "first")
        for nobody in ("a-nobody", "a-0123456789abcde", "a-0123456789abcdef0", "a-0123456789abcdeF", ""):
            with self.assertRaises(AgentUnknown):
                await self.enrollment.revoke_agent(nobody)
        self.assertFalse(
            await self.enrollment.revoke_agent("a-0123456789abcdef")
        )  # perhaps of before a restored backup
        self.assertIn("a-0123456789abcdef", self.control.mirror.revocations)
        with self.assertRaises(TokenNotFound):
            await self.enrollment.revoke_token("nothing")

    async def test_renewal_follows_the_record(self) -> None:
        """A renewal is for the hostnames of the agent's record now; a revoked agent has none."""
        answer = await self.enroll(await self.token())
        assert isinstance(answer, Enrolled)
        self.assertIn("BEGIN CERTIFICATE", self.enrollment.renew(answer.agent_id, new_request(new_key())).chain_pem)  # type: ignore[union-attr]
        await self.enrollment.revoke_agent(answer.agent_id)
        refused = self.enrollment.renew(answer.agent_id, new_request(new_key()))
        self.assertEqual(refused.code, "revoked")  # type: ignore[union-attr]

    async def test_used_concurrently(self) -> None:
        """A token that another edge uses at the same moment is read again, and not used twice."""
        token = await self.token()
        kept = self.control.mirror.tokens[token.id]
        get = self.control.store.get

        def get_then_lose(key: str):  # type: ignore[no-untyped-def]
            found = get(key)
            if key == kept.key:  # another edge counts a use between our read and our write
                self.control.store.put(key, encode(replace(kept, uses_left=0)))
            return found

        self.patch(self.control.store, "get", get_then_lose)
        answer = await self.enroll(token)
        assert isinstance(answer, EnrollRefused)
        self.assertEqual(answer.code, "token_used_up")
        self.assertEqual(self.control.mirror.agents, {})

"""Getting and changing an identity: which token counts, what is tried again, and what ends an agent."""

from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import listen_at, port_of, unused_port
from tests.system.agent.stub_edge import Fleet, StubEdge, cut
from warp_twisted.agent.errors import AgentRefused, EnrollmentRefused, NotEnrolled
from warp_twisted.agent.events import Delayed, Enrolled, ReloadRefused, Stopped
from warp_twisted.agent.identity.joining import TOLD_SECONDS
from warp_twisted.agent.identity.state import StateDirectory
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import AgentSettings, parse_settings
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.control import ControlMessage, EnrollRefused, EnrollRequest, Refused, ReturnRequest


def revoked(message: ControlMessage) -> ControlMessage:
    """Refuse a hello for good."""
    return Refused(code="revoked", reason="agent a-1 was revoked: stolen", retry=False)


class JoiningTestCase(AgentTestCase):
    """An agent as a program in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.token: JoinTokenText | Exception | None = self.fleet.token(self.edge.port)
        self.ingress = "[{service: hello-world}]"
        self.more = ""

    def settings(self) -> AgentSettings:
        """Return the settings as the file has them now."""
        return parse_settings(f"state: {self.directory / 'state'}\ntunnels: 1\ningress: {self.ingress}\n{self.more}")

    def read_token(self, settings: AgentSettings) -> JoinTokenText | None:
        """Read what the token's file has now."""
        if isinstance(self.token, Exception):
            raise self.token
        return self.token

    def run_agent(self, *, is_patient: bool = True) -> AgentRunner:
        """Start an agent."""
        runner = AgentRunner(
            reactor,
            self.settings(),
            read_token=self.read_token,
            read_settings=self.settings,
            observe=self.observe,
            is_patient=is_patient,
            wall=self.wall,
        )
        self.addCleanup(self.stop_runner, runner)
        runner.startService()
        return runner

    async def stop_runner(self, runner: AgentRunner) -> None:
        """Stop an agent, whatever became of it."""
        runner.ended.addErrback(lambda _: None)
        runner.stop_now()
        await runner.stopService()

    def other_token(self) -> JoinTokenText:
        """Return another token of the fleet."""
        return replace(self.fleet.token(self.edge.port), id="t2")

    async def registered(self, times: int = 1) -> None:
        """Wait for so many hellos."""
        await self.edge.until(lambda: len(self.edge.hellos) >= times)


class PatienceTests(JoiningTestCase):
    """What may pass is tried again."""

    async def test_told_when(self) -> None:
        """An agent that is one too many comes again when the edge said, as the same agent with the same key."""
        refusals = [EnrollRefused(code="too_many", reason="too many", retry_seconds=0.2)] * 2
        keys: list[str] = []

        def gate(request: ControlMessage) -> EnrollRefused | None:
            assert isinstance(request, EnrollRequest)
            keys.append(request.csr_pem)
            return refusals.pop() if refusals else None

        self.edge.gate = gate
        self.run_agent(is_patient=False)
        await self.registered()
        waits = self.events_of(Delayed)
        self.assertEqual([event.reason for event in waits], ["too many (too_many)"] * 2)
        self.assertTrue(all(0.2 <= event.retry_seconds <= 0.3 for event in waits), waits)
        self.assertEqual(len(keys), 3)
        self.assertEqual(sorted(path.name for path in (self.directory / "state").iterdir()),
                         ["agent.json", "chain.pem", "enrolled-with.json", "key.pem", "lock", "root.pem"])  # fmt: skip

    async def test_told_to_wait_for_ever(self) -> None:
        """No edge keeps an agent waiting for longer than an hour and a half."""
        self.edge.gate = lambda request: EnrollRefused(code="too_many", reason="too many", retry_seconds=1e12)
        self.run_agent(is_patient=False)
        await self.until(lambda: bool(self.events_of(Delayed)))
        await deferLater(reactor, 0)  # this was told just before the wait begins
        self.assertLessEqual(self.events_of(Delayed)[0].retry_seconds, 1.5 * TOLD_SECONDS)

    async def test_edge_that_is_away(self) -> None:
        """`warp up`, too, waits for an edge that does not answer."""
        await self.edge.stop()
        self.run_agent(is_patient=False)
        await self.until(lambda: bool(self.events_of(Delayed)))
        self.assertIn("no edge of the join token answers", self.events_of(Delayed)[0].reason)
        self.edge.listen()
        await self.registered()

    async def test_token_that_is_refused(self) -> None:
        """It ends `warp up`, with a status that is not that of a revoked agent; a service waits for another token."""
        good, self.token = self.token, replace(self.fleet.token(self.edge.port), secret="cd" * 32)
        error = await self.assert_fails(self.run_agent(is_patient=False).ended, EnrollmentRefused)
        self.assertEqual(error.exit_code, 1)
        runner = self.run_agent()
        await self.until(lambda: bool(self.events_of(Delayed)))
        self.token = good
        runner.reload()
        await self.registered()
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_answer_that_could_not_be_stored(self) -> None:
        """The key is on the disk before the edge hears of it, so the next attempt is the same agent's."""
        state = StateDirectory(self.directory / "state")
        key = state.enrollment_key()
        state.close()
        self.run_agent()
        await self.registered()
        stored = StateDirectory(self.directory / "elsewhere")
        self.addCleanup(stored.close)
        self.assertNotEqual(stored.enrollment_key().public_key(), key.public_key())
        kept = (self.directory / "state" / "key.pem").read_bytes()
        (self.directory / "elsewhere" / "next-key.pem").write_bytes(kept)
        self.assertEqual(stored.enrollment_key().public_key(), key.public_key())

    async def test_key_of_a_revoked_agent(self) -> None:
        """An edge that wants another key gets one."""
        keys: list[str] = []

        def gate(request: ControlMessage) -> EnrollRefused | None:
            assert isinstance(request, EnrollRequest)
            keys.append((self.directory / "state" / "next-key.pem").read_text())
            return EnrollRefused(code="key_revoked", reason="make a new one") if len(keys) == 1 else None

        self.edge.gate = gate
        self.run_agent()
        await self.registered()
        self.assertEqual(len(set(keys)), 2)


class BeforehandTests(JoiningTestCase):
    """A token is not spent by an agent that could not serve."""

    async def test_listener_that_cannot_be_opened(self) -> None:
        """A port of metrics that is taken ends the agent before an edge is asked."""
        taken = listen_at(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), Factory())
        self.addCleanup(taken.stopListening)
        self.more = f"metrics: 'tcp:{port_of(taken)}:interface=127.0.0.1'"
        error = await self.assert_fails(self.run_agent().ended, InvalidSettings)
        self.assertIn("metrics: tcp:", str(error))
        self.assertEqual(self.fleet.enrolled, 0)

    async def test_what_is_offered_is_told(self) -> None:
        """The edge hears the hostnames and the number of routes with the token."""
        requests: list[ControlMessage] = []
        self.edge.gate = lambda request: requests.append(request)
        self.ingress = "[{hostname: a.warp.example, path: ^/x, service: hello-world}, {hostname: a.warp.example, "
        self.ingress += "service: hello-world}, {service: 'http_status:404'}]"
        self.run_agent()
        await self.registered()
        (request,) = requests
        assert isinstance(request, EnrollRequest)
        self.assertEqual((request.hostnames, request.routes), (["a.warp.example"], 2))


class ReloadTests(JoiningTestCase):
    """Settings that change before there is an identity."""

    async def test_change_while_enrolling(self) -> None:
        """The new settings are taken and tried at once."""
        await self.edge.stop()
        self.ingress = "[{hostname: old.warp.example, service: hello-world}, {service: 'http_status:404'}]"
        runner = self.run_agent()
        await self.until(lambda: bool(self.events_of(Delayed)))
        self.edge.listen()
        self.ingress = "[{hostname: new.warp.example, service: hello-world}, {service: 'http_status:404'}]"
        self.assertTrue(await runner.reload())
        await self.registered()
        self.assertEqual(self.fleet.wishes, [["new.warp.example"]])
        self.assertEqual([route.hostname for route in self.edge.hellos[0].routes], ["new.warp.example"])

    async def test_bad_change_while_enrolling(self) -> None:
        """Settings that cannot be used are refused, and the old ones stay."""
        await self.edge.stop()
        runner = self.run_agent()
        await self.until(lambda: bool(self.events_of(Delayed)))
        self.ingress = "[{service: 'https://x/y'}]"
        self.assertFalse(await runner.reload())
        self.assertEqual(len(self.events_of(ReloadRefused)), 1)
        self.edge.listen()
        await self.registered()
        self.assertEqual(self.edge.hellos[0].routes[0].service, "hello-world")


class OtherIdentityTests(JoiningTestCase):
    """An agent that its fleet does not take any more."""

    async def test_revoked(self) -> None:
        """Without a new token it ends with the status of a revoked agent; the token that it came with is none."""
        runner = self.run_agent()
        await self.registered()
        self.edge.answer = revoked
        cut(self.edge.tunnels[0])
        error = await self.assert_fails(runner.ended, AgentRefused)
        self.assertEqual(error.exit_code, 4)
        self.assertIn("was revoked: stolen", str(error))
        self.assertEqual((len(self.events_of(Enrolled)), len(self.events_of(Stopped))), (1, 1))

    async def test_revoked_with_a_new_token(self) -> None:
        """A new token lets the machine in again, as another agent with another key, without a restart."""
        self.run_agent()
        await self.registered()
        old_key = (self.directory / "state" / "key.pem").read_bytes()
        self.edge.answer = lambda message: revoked(message) if len(self.events_of(Enrolled)) == 1 else None
        self.token = self.other_token()
        cut(self.edge.tunnels[0])
        await self.edge.until(lambda: bool(self.edge.hellos) and self.edge.hellos[-1].agent_id == "a-2")
        await self.edge.until(lambda: bool(self.edge.tunnels))
        self.assertNotEqual((self.directory / "state" / "key.pem").read_bytes(), old_key)
        self.assertEqual([event.agent_id for event in self.events_of(Enrolled)], ["a-1", "a-2"])
        self.assertEqual(self.events_of(Stopped), [])

    async def test_revoked_before_its_start(self) -> None:
        """So it does when the agent starts with both."""
        first = self.run_agent()
        await self.registered()
        await first.stopService()
        self.edge.answer = lambda message: revoked(message) if len(self.events_of(Enrolled)) == 1 else None
        self.token = self.other_token()
        self.run_agent()
        await self.registered(3)
        self.assertEqual([hello.agent_id for hello in self.edge.hellos], ["a-1", "a-1", "a-2"])

    async def test_no_way_back_but_a_token(self) -> None:
        """An agent that may not return, as its record is gone, goes on trying and finds a new token by itself."""
        self.edge.gate = lambda request: (
            EnrollRefused(code="agent_unknown", reason="no record") if isinstance(request, ReturnRequest) else None
        )
        self.fleet.issued_ago = 2 * self.fleet.agent_lifetime
        self.run_agent()
        await self.until(lambda: any("no record" in getattr(event, "reason", "") for event in self.events))
        self.assertEqual(self.fleet.enrolled, 1)
        self.fleet.issued_ago *= 0
        self.token = self.other_token()
        await self.registered()
        self.assertEqual([hello.agent_id for hello in self.edge.hellos], ["a-2"])

    async def test_another_fleet(self) -> None:
        """Where another fleet runs at the address of ours, its token makes the agent one of its own."""
        self.run_agent()
        await self.registered()
        port = self.edge.port
        await self.edge.stop()
        other = StubEdge(Fleet(self.directory / "other"), port=port)
        other.listen()
        self.addCleanup(other.stop)
        await self.until(
            lambda: any("certificate is not good" in getattr(event, "reason", "") for event in self.events)
        )
        self.token = replace(other.fleet.token(port), id="t1")
        await other.until(lambda: len(other.hellos) == 1)
        self.assertEqual((other.fleet.enrolled, len(self.events_of(Enrolled))), (1, 2))

    async def test_token_that_is_not_needed(self) -> None:
        """An enrolled agent starts whatever became of its token, and says what is wrong with it."""
        first = self.run_agent()
        await self.registered()
        await first.stopService()
        for times, token in enumerate((InvalidSettings("token_file: found nothing"), None), 2):
            self.token = token
            runner = self.run_agent()
            await self.registered(times)
            await runner.stopService()
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_no_token(self) -> None:
        """Without an identity a token that cannot be read, or none, ends the agent."""
        self.token = InvalidSettings("token_file: found nothing")
        await self.assert_fails(self.run_agent().ended, InvalidSettings)
        self.token = None
        await self.assert_fails(self.run_agent(is_patient=False).ended, NotEnrolled)

    async def test_token_that_comes_later(self) -> None:
        """A service waits for its token."""
        self.token = None
        runner = self.run_agent()
        await self.until(lambda: bool(self.events_of(Delayed)))
        self.assertIn("no join token was given", self.events_of(Delayed)[0].reason)
        self.token = self.fleet.token(self.edge.port)
        await runner.reload()
        await self.registered()

    async def test_stopped_while_waiting(self) -> None:
        """An agent that waits to enroll can be stopped, and leaves nothing behind."""
        self.token = self.fleet.token(unused_port())
        runner = self.run_agent()
        await self.until(lambda: bool(self.events_of(Delayed)))
        await self.turns(1)
        await runner.stopService()
        ended: Deferred[None] = runner.ended
        await ended
        self.assertTrue(Path(self.directory / "state" / "next-key.pem").exists())

"""Tests of `warp_twisted.agent.links.lifecycle`: the table itself; its effects are tested in `test_link`."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.links.backoff import Backoff
from warp_twisted.agent.links.draining import LeftTunnels
from warp_twisted.agent.links.lifecycle import Lifecycle, LinkCore, new_lifecycle
from warp_twisted.testing import RecordingDelegate, tunnel_pair
from warp_twisted.tunnel import TunnelProtocol, TunnelTimes
from warp_twisted.wire.control import Accepted, Drain, Hello, Refused

ACCEPTED = Accepted(edge="edge1", tunnel_id="t1")
REFUSED = Refused(code="revoked", reason="no", retry=False)


class FakeEffects:
    """Notes what the machine makes happen."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.dials: list[Deferred[TunnelProtocol]] = []

    def dial(self) -> Deferred[TunnelProtocol]:
        """Note, and never connect by itself."""
        self.done.append("dial")
        dialing: Deferred[TunnelProtocol] = Deferred()
        self.dials.append(dialing)
        return dialing

    def hello(self) -> Hello:
        """Return a hello."""
        self.done.append("hello")
        return Hello(version=1, software="test", agent_id="a-1", session="s", slot=0)

    def link_up(self, accepted: Accepted) -> None:
        """Note."""
        self.done.append("up")

    def link_down(self, reason: str, retry_seconds: float | None) -> None:
        """Note, and whether there will be another attempt."""
        self.done.append("stopped" if retry_seconds is None else "down")

    def link_refused(self, refused: Refused) -> None:
        """Note."""
        self.done.append("refused")

    def use_other_slot(self) -> None:
        """Note."""
        self.done.append("slot")

    def stay(self) -> None:
        """Note."""
        self.done.append("stay")

    def edge_failed(self) -> None:
        """Note."""
        self.done.append("other edge")

    def edge_leaves(self) -> None:
        """Note."""
        self.done.append("until it is back")


class TimesTests(SynchronousTestCase):
    """How long the agent bears silence."""

    def accepted(self, message: Accepted) -> TunnelTimes:
        """Be accepted, and return the tunnel's times."""
        pair = tunnel_pair(agent=RecordingDelegate(), edge=RecordingDelegate())
        chance = Random(1)
        left = LeftTunnels(pair.clock, lambda: None)
        core = LinkCore(effects=FakeEffects(), clock=pair.clock, backoff=Backoff(chance, 0.0), left=left)
        life = new_lifecycle(core)
        life.start()
        life.opened(pair.agent)
        life.accepted(message)
        return pair.agent.times

    def test_stated(self) -> None:
        """It is as the edge states; an edge that states nothing leaves it as it was."""
        usual = TunnelTimes()
        self.assertEqual(self.accepted(ACCEPTED), usual)
        stated = msgspec.structs.replace(ACCEPTED, ping_seconds=5.0, silence_seconds=8.0)
        self.assertEqual(self.accepted(stated), replace(usual, ping_seconds=5.0, silence_seconds=8.0))


class LifecycleTests(SynchronousTestCase):
    """From each state, each input."""

    def begin(self) -> None:
        """Make a machine in its first state."""
        self.clock = Clock()
        self.effects = FakeEffects()
        self.core = LinkCore(
            effects=self.effects,
            clock=self.clock,
            backoff=Backoff(Random(1), 0.0),
            left=LeftTunnels(self.clock, lambda: None),
        )
        self.life: Lifecycle = new_lifecycle(self.core)

    def open(self) -> None:
        """Tell of a verified edge."""
        self.life.opened(tunnel_pair(RecordingDelegate(), RecordingDelegate(), clock=self.clock).agent)

    def states(self) -> dict[str, Callable[[], None]]:
        """Return a way into each state, from the first."""
        return {
            "idle": lambda: None,
            "dialing": lambda: self.go("start"),
            "registering": lambda: self.go("start", "opened"),
            "up": lambda: self.go("start", "opened", "accepted"),
            "waiting": lambda: self.go("start", "failed"),
            "draining": lambda: self.go("start", "opened", "accepted", "drain"),
            "stopped": lambda: self.go("stop"),
        }

    def go(self, *inputs: str) -> None:
        """Tell the machine these inputs."""
        calls: dict[str, Callable[[], None]] = {
            "start": lambda: self.life.start(),
            "opened": self.open,
            "accepted": lambda: self.life.accepted(ACCEPTED),
            "refused": lambda: self.life.refused(REFUSED),
            "turned_away": lambda: self.life.turned_away("not so"),
            "failed": lambda: self.life.failed("lost"),
            "edge_drained": lambda: self.life.edge_drained(Drain()),
            "edge_followed": lambda: self.life.edge_drained(Drain(successor=True)),
            "move": lambda: self.life.move(),
            "retry": lambda: self.life.retry(),
            "hasten": lambda: self.life.hasten(),
            "drain": lambda: self.life.drain("stop", 30.0),
            "stop": lambda: self.life.stop(),
        }
        for name in inputs:
            calls[name]()

    def done_by(self, state: str, name: str) -> list[str]:
        """Return what one input makes happen in a state."""
        self.begin()
        self.states()[state]()
        self.effects.done.clear()
        self.go(name)
        return self.effects.done

    def assert_effects(self, name: str, expected: dict[str, list[str]], others: Iterable[str] = ()) -> None:
        """Check what an input makes happen in these states, and that nothing does in the others that take it."""
        for state in others:
            expected = {**expected, state: []}
        self.assertEqual({state: self.done_by(state, name) for state in expected}, expected)

    def test_orders_are_taken_in_every_state(self) -> None:
        """What the agent asks for may come at any time."""
        all_states = set(self.states())
        self.assert_effects("hasten", {}, all_states)
        moves = {"up": ["slot", "down", "dial"], "registering": ["down"]}
        self.assert_effects("move", moves, all_states - set(moves))
        at_once = {state: ["stopped"] for state in ("dialing", "registering", "waiting")}
        self.assert_effects("drain", at_once, all_states - set(at_once))
        cut = {state: ["stopped"] for state in all_states - {"idle", "stopped"}}
        self.assert_effects("stop", cut, ("idle", "stopped"))

    def test_news_of_the_network(self) -> None:
        """What the edge and the network do changes only states that have something to lose."""
        self.assert_effects(
            "failed",
            {"dialing": ["down"], "registering": ["other edge", "down"], "up": ["down"], "draining": ["stopped"]},
            ("waiting", "stopped"),
        )
        self.assert_effects(
            "edge_drained",
            {"registering": ["until it is back", "down"], "up": ["slot", "until it is back", "down", "dial"]},
            set(self.states()) - {"registering", "up"},
        )
        self.assert_effects(
            "edge_followed",
            {"registering": ["until it is back", "down"], "up": ["slot", "stay", "down", "dial"]},
            set(self.states()) - {"registering", "up"},
        )
        self.assert_effects("opened", {"dialing": ["hello"]}, ("waiting", "stopped"))
        self.assert_effects("accepted", {"registering": ["up"]})
        self.assert_effects("refused", {"registering": ["refused"]})
        turned_away = {"dialing": ["down"], "registering": ["other edge", "down"]}
        self.assert_effects("turned_away", turned_away, ("waiting", "stopped"))
        self.assert_effects("retry", {"waiting": ["dial"]})

    def test_up_is_told_by_the_core(self) -> None:
        """`is_up` holds from acceptance to the loss of the tunnel, in a drain too."""
        expected = {state: state in ("up", "draining") for state in self.states()}
        for state, is_up in expected.items():
            self.begin()
            self.states()[state]()
            self.assertIs(self.core.is_up, is_up, state)

    def test_a_stopped_link_holds_nothing(self) -> None:
        """Whatever the state, after a stop there is no tunnel, no attempt and no timer."""
        for state, reach in self.states().items():
            self.begin()
            reach()
            self.life.stop()
            self.assertEqual((self.core.tunnel, self.core.dialing, self.core.timer), (None, None, None), state)

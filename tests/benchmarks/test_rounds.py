"""`benchmarks.rounds`: peers that take turns."""

from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.bench import PEERS, QUICK, Bench
from benchmarks.errors import OutOfTime, UnexpectedAnswer
from benchmarks.load.visitors import Address
from benchmarks.peers.peer import Peer
from benchmarks.rounds import Measured, in_rounds


def _bench(peers: Sequence[str] = PEERS) -> Bench:
    return Bench(directory=Path("unused"), scale=QUICK, file_limit=1000, peers=peers, tell=lambda text: None)


class RoundsTests(SynchronousTestCase):
    """Who is loaded when, and what is noted."""

    def setUp(self) -> None:
        """Have two peers."""
        self.bench = _bench()
        nowhere = Address(port=1, hostname="nobody.example")
        self.peers = [Peer(name=name, web=nowhere, tools=nowhere) for name in ("a", "b")]
        self.turns: list[str] = []

    def _load(self, variant: str) -> Measured:
        self.turns.append(variant)
        count = float(len(self.turns))
        return Measured(
            metrics={names.REQUESTS: count}, by_program={names.CPU_PER_REQUEST: {"x": count, "y": 2 * count}}
        )

    def test_turns(self) -> None:
        """In each round every load is put on every peer, backwards in the second; every turn's figure is kept."""
        loads = {variant: lambda peer, variant=variant: self._load(variant + peer.name) for variant in ("1", "2")}
        in_rounds(self.bench, "case", self.peers, loads, 2)
        self.assertEqual(self.turns, ["1a", "1b", "2a", "2b", "2b", "2a", "1b", "1a"])
        results = self.bench.results
        self.assertEqual(results.figure("case", "2", "a", names.REQUESTS).samples, (3, 6))
        self.assertEqual(results.figure("case", "2", "a", names.CPU_PER_REQUEST).samples, (9, 18))
        self.assertEqual(results.figure("case", "2", "a", names.CPU_PER_REQUEST, "y").samples, (6, 12))

    def test_failing_peer(self) -> None:
        """A peer that fails is noted once and asked no more; the others go on."""

        def load(peer: Peer) -> Measured:
            if peer.name == "a" and self.turns:
                raise UnexpectedAnswer("503")
            return self._load(peer.name)

        in_rounds(self.bench, "case", self.peers, {"1": load, "2": load}, 2)
        self.assertEqual(self.turns, ["a", "b", "b", "b", "b"])
        self.assertEqual(len(self.bench.results.failures["case"]), 1)
        self.assertIn("2: a: ", self.bench.results.failures["case"][0])
        self.assertEqual(self.bench.results.value("case", "1", "a", names.REQUESTS), 1)

    def test_out_of_time(self) -> None:
        """When the run's time is over, what was measured is kept."""

        def load(peer: Peer) -> Measured:
            if len(self.turns) == 3:
                raise OutOfTime
            return self._load(peer.name)

        self.assertRaises(OutOfTime, in_rounds, self.bench, "case", self.peers, {"1": load}, 2)
        self.assertEqual(self.bench.results.figure("case", "1", "b", names.REQUESTS).samples, (2, 3))


class PeersTests(SynchronousTestCase):
    """Which peers a case gets."""

    def _wanted(self, peers: list[str], skipped: dict[str, str]) -> list[str]:
        bench = _bench(peers)
        bench.results.skipped |= skipped
        return bench.wanted("HAProxy", "rathole", "Warp")

    def test_wanted(self) -> None:
        """Those of the case that the user wants and that could be had, in the case's order."""
        self.assertEqual(self._wanted(["Warp", "HAProxy", "rathole"], {}), ["HAProxy", "rathole", "Warp"])
        self.assertEqual(self._wanted(["Warp", "ssh -R"], {}), ["Warp"])
        self.assertEqual(self._wanted(["Warp", "rathole"], {"rathole": "no cargo"}), ["Warp"])

"""Tests that a visitor who does its worst costs another visitor next to nothing, on real sockets."""

from collections.abc import Callable

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.system.edge.victim import RunningEdge, Waits, edge_process

SECONDS = 3.0
WORST_SECONDS = 0.25
SLOWER = 1.2  # of the median
NOISE_SECONDS = 0.003  # of the median on a machine that others use as well
CPU_WAITS = 4  # of the edge for each answer, where others use the machine as well; what it waits then is no attack's
ATTEMPTS = 3  # a machine that is busy with something else may spoil a measurement, but not each


class AttackTests(TestCase):
    """While an attack runs, another visitor's answers come as soon as before."""

    timeout = 120

    async def assert_unharmed(
        self,
        kind: str,
        check: Callable[[RunningEdge], None] | None = None,
        visit: Callable[[RunningEdge, float], Waits] = RunningEdge.visit,
        **limits: float,
    ) -> None:
        """Measure a visitor's waits before and during an attack."""

        def measure() -> tuple[Waits, Waits, float]:
            with edge_process(**limits) as edge:
                visit(edge, 0.3)
                quiet = visit(edge, SECONDS / 2)
                with edge.attacked(kind):
                    before = edge.cpu_waits()
                    attacked = visit(edge, SECONDS)
                    after = edge.cpu_waits()
                    if check is not None:
                        check(edge)
            return quiet, attacked, (after[0] - before[0]) / max(1, after[1] - before[1])

        seen = []
        for _ in range(ATTEMPTS):
            quiet, attacked, cpu_wait = await deferToThread(measure)
            noise = NOISE_SECONDS + CPU_WAITS * cpu_wait
            if attacked.median < quiet.median * SLOWER + noise and attacked.worst < WORST_SECONDS + noise * CPU_WAITS:
                return
            seen.append(f"{quiet}; attacked: {attacked}; {cpu_wait * 1000:.1f} ms for a CPU each time")
        self.fail("\n".join(seen))

    async def test_pipelined_refusals(self) -> None:
        """Megabytes of requests that the edge answers by itself, on twenty connections."""

        def check(edge: RunningEdge) -> None:
            said = edge.ask()
            self.assertGreater(said["refusals"]["unknown-hostname"], 100, "they are served meanwhile")
            self.assertLess(said["unread"], 20 * (65_536 * 2 + 262_144), "what waits of each is bounded")

        await self.assert_unharmed("pipelined_refusals", check)

    async def test_uploads_without_credit(self) -> None:
        """Uploads to an origin that takes nothing: what waits of them is bounded, in one budget with the answers."""
        limit = 4 * 1024 * 1024

        def check(edge: RunningEdge) -> None:
            said = edge.ask()
            self.assertGreater(said["refusals"]["unread-bytes"], 0, "the bound was reached")
            self.assertLessEqual(said["unread"], limit)

        await self.assert_unharmed("uploads_without_credit", check, unread_bytes=limit)

    async def test_small_chunks(self) -> None:
        """Chunks of one byte, of which each costs the edge as much as a large one."""
        await self.assert_unharmed("small_chunks")

    async def test_small_answers(self) -> None:
        """Answers in chunks of one byte: the same, and what waits of them is bounded by the origins' credit."""

        def check(edge: RunningEdge) -> None:
            said = edge.ask()
            self.assertGreater(said["unread"], 0, "some of them wait for a turn")
            self.assertLess(said["unread"], 20 * 2 * 262_144)

        await self.assert_unharmed("small_answers", check)

    async def test_small_reads(self) -> None:
        """Segments of one byte, of which each costs the edge a read."""
        await self.assert_unharmed("small_reads")

    async def test_small_heads(self) -> None:
        """The same for the heads of requests."""
        await self.assert_unharmed("small_heads")

    async def test_costly_paths(self) -> None:
        """Paths that take as long as the path rules of any hostname may."""
        await self.assert_unharmed("costly_paths")

    async def test_costly_paths_on_new_connections(self) -> None:
        """The same on connections that are new every time."""
        await self.assert_unharmed("costly_paths_anew")

    async def test_idle_connections(self) -> None:
        """As many idle connections as the edge holds, from four addresses: visitors who come later find room."""

        def check(edge: RunningEdge) -> None:
            said = edge.ask()
            self.assertGreater(said["refusals"]["gave-way"], 20, "the bound was reached")
            self.assertNotIn("connections", said["refusals"], "nobody was refused")
            self.assertLess(said["visitors"], 1_900 + 50)

        await self.assert_unharmed("idle_connections", check, RunningEdge.visit_anew, connections=1_900)

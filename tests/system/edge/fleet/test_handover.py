"""One of two edges hands over to another process of its own, and no visitor of either notices."""

import contextlib
import time

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.swarms import open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.load import swarm
from benchmarks.load.prober import probing
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import KEEPER, ask_admin, open_two_edges
from benchmarks.peers_scale import wait_until_known
from tests.case import short_directory_of
from warp_twisted.keeper.asking import ask
from warp_twisted.keeper.messages import Message

TUNNELS, HOSTNAMES = 40, 20
LIMIT_SECONDS = 120.0  # on a machine that does much else


class HandOverTests(SynchronousTestCase):
    """Two edges below keepers, of which the second has the tunnels."""

    def hand_over(self, which: int) -> None:
        """Let one of them hand over while visitors of both ask, and see that each is answered."""
        directory = short_directory_of(self)
        certificate = write_certificate(directory, [WEB_HOSTNAME])
        with contextlib.ExitStack() as stack:
            edges = stack.enter_context(open_two_edges(directory, certificate, is_kept=True))
            members = stack.enter_context(open_swarm(edges[1], directory, TUNNELS, HOSTNAMES))
            members.wait_until_registered(LIMIT_SECONDS, lambda step: None)
            wait_until_known(edges[0], {TUNNELS}, members.hostnames[-1:])
            probers = []
            for at, edge in enumerate(edges):
                place = directory / f"visitors{at}"
                place.mkdir()
                probers.append(stack.enter_context(probing(edge.web, 0.02, place, members.hostnames)))
            began_at = time.monotonic()
            ask(str(directory / f"edge{which + 1}" / KEEPER), Message("do", "restart"), lambda step: None)
            if which:
                members.process.wait_for_line(f"{swarm.MOVED}|{swarm.FAILED}", LIMIT_SECONDS)
            wait_until_known(edges[0], {TUNNELS}, members.hostnames[-1:])
            ended_at = time.monotonic()
            members.check()
            (peer,) = ask_admin(edges[0].admin, "GET", "/v1/peers")
            self.assertEqual((peer["alive"], peer["losses"]), (True, 0))
        for prober in probers:
            waits = prober.between(began_at, ended_at)
            self.assertGreater(len(waits.seconds), 20)
            self.assertEqual(waits.errors, 0)

    def test_of_the_edge_with_the_tunnels(self) -> None:
        """The link is made anew and tunnels move, while the other edge goes on relaying."""
        self.hand_over(1)

    def test_of_the_edge_that_relays(self) -> None:
        """What relays hands over as well."""
        self.hand_over(0)

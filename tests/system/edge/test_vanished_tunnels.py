"""Hundreds of tunnels that vanish at once, as when a site loses its power: a visitor to another one does not wait."""

import re
import tempfile
import time
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.swarms import open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.load.prober import probing
from benchmarks.peers.origins import open_origins
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import Edge, open_agent, open_edge
from benchmarks.processes import raise_file_limit

TUNNELS = 1_500
HOSTNAMES = 900
AGENT_TUNNELS = 4  # of the agent that stays
WORST_SECONDS = 0.12  # without turns they waited for all of the ends, 0.25 s and more
ASK_SECONDS = 0.005
TIMEOUT = 120.0


class VanishedTunnelsTests(SynchronousTestCase):
    """An edge, an agent with an origin, and a swarm, each in a process of its own."""

    def test_visitors_do_not_wait(self) -> None:
        """The longest wait is bounded, and no request fails."""
        # trial's own directories are too deep for the path of a unix socket.
        with tempfile.TemporaryDirectory(prefix="warp-test-") as name:
            directory = Path(name)
            certificate = write_certificate(directory, [WEB_HOSTNAME])
            with (
                open_origins(directory, raise_file_limit()) as origins,
                open_edge(directory, certificate) as edge,
                open_agent(edge, origins, directory) as peer,
                open_swarm(edge, directory, TUNNELS, HOSTNAMES) as swarm,
            ):
                swarm.wait_until_registered(TIMEOUT, lambda text: None)
                swarm.check()
                self.assertGreaterEqual(_tunnels(edge), TUNNELS)
                with probing(peer.web, ASK_SECONDS, directory) as visitor:
                    time.sleep(20 * ASK_SECONDS)
                    waited_before = _waited_for_cpu(edge)
                    began = time.monotonic()
                    swarm.process.kill()
                    while _tunnels(edge) > AGENT_TUNNELS:
                        self.assertLess(time.monotonic(), began + TIMEOUT)
                    ended = time.monotonic()
                    waited_for_cpu = _waited_for_cpu(edge) - waited_before
                waits = visitor.between(began, ended)
        self.assertEqual(waits.errors, 0)
        self.assertGreater(len(waits.seconds), 10)
        self.assertLess(waits.quantile_ms(1) / 1000, WORST_SECONDS + waited_for_cpu)


def _tunnels(edge: Edge) -> int:
    """Count the registered tunnels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.metrics_port}/metrics", timeout=TIMEOUT) as answer:
        found = re.search(r"^warp_edge_tunnels (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return round(float(found[1]))


def _waited_for_cpu(edge: Edge) -> float:
    """Tell for how long the edge has waited for a CPU that others used, in seconds."""
    return int(Path(f"/proc/{edge.process.pid}/schedstat").read_text().split()[1]) / 1e9

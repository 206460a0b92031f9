"""Tests of what `tests.fleet.deployment` reads in the output of a playbook."""

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.deployment import Run

OUTPUT = """
TASK [warp_edge : Write edge.yaml] *********************************************
changed: [edge1]
ok: [edge2]

TASK [warp_agent : Revoke them] ************************************************
changed: [origin1 -> edge1(10.78.0.11)] => (item=main)
changed: [origin1 -> edge1(10.78.0.11)] => (item=second)

RUNNING HANDLER [warp_common : Tell] *******************************************
changed: [edge2]
"""


class RunTests(SynchronousTestCase):
    """`Run`."""

    def test_changes(self) -> None:
        """Each task that changed something is named once for each host, and a host of which none is found, too."""
        counts = {host: {"changed": changed} for host, changed in (("edge1", 1), ("edge2", 1), ("ns1", 2), ("ns2", 0))}
        run = Run(returncode=0, output=OUTPUT, seconds=1.0, counts=counts)
        self.assertEqual(
            run.changes,
            [
                "edge1: warp_edge : Write edge.yaml",
                "origin1: warp_agent : Revoke them",
                "edge2: warp_common : Tell",
                "ns1: 2 tasks that are not named",
            ],
        )

"""Tests of what a process says of itself, compared with what else is known of it."""

import os
import resource
import socket
import time
from pathlib import Path

from prometheus_client import ProcessCollector as Theirs
from prometheus_client.registry import CollectorRegistry
from twisted.trial.unittest import SynchronousTestCase

from warp_base.exposition import Exposition
from warp_base.loop.process_metrics import COUNTED_IN_A_STEP, ProcessCollector


def values(exposition: bytes) -> dict[str, float]:
    """Read an exposition of metrics without labels."""
    lines = [line.split() for line in exposition.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


class ProcessTests(SynchronousTestCase):
    """The process that runs the tests."""

    def read(self) -> tuple[dict[str, float], int]:
        """Return the metrics and the number of steps that they took."""
        exposition = Exposition()
        exposition.register(ProcessCollector())
        pieces = list(exposition.pieces())
        return values(b"".join(pieces)), len(pieces)

    def test_same_as_the_client_library(self) -> None:
        """Names and values are those of Prometheus' own client library."""
        self.read()  # what is loaded for the first one takes memory
        ours, _ = self.read()
        theirs = {
            sample.name: sample.value
            for family in Theirs(registry=CollectorRegistry()).collect()
            for sample in family.samples
        }
        self.assertEqual(set(ours), set(theirs))
        for name, value in theirs.items():
            self.assertLessEqual(abs(ours[name] - value), max(0.1 * value, 2), name)
        self.assertLess(abs(time.time() - ours["process_start_time_seconds"]), 86_400)

    def test_price(self) -> None:
        """Of thousands of descriptors some are counted in each step."""
        before, steps_before = self.read()
        count = 3 * COUNTED_IN_A_STEP
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit[0] < count + 1_000:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1_000, limit[1]))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        own = socket.socket()
        self.addCleanup(own.close)
        for _ in range(count):
            self.addCleanup(os.close, os.dup(own.fileno()))
        after, steps = self.read()
        self.assertEqual(after["process_open_fds"] - before["process_open_fds"], count + 1)
        self.assertEqual(steps - steps_before, 3)

    def test_no_proc(self) -> None:
        """Without /proc there is still the processor time."""
        families = list(ProcessCollector(Path(self.mktemp())).collect())
        self.assertEqual([family.name for family in families], ["process_cpu_seconds"])

"""dns/README.md: its dig examples are run against the zone that it describes, and its log table is complete."""

import os
import re
import shutil
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from tests.case import reactor
from tests.docs.console import examples, matches
from tests.docs.logged import logged
from tests.system.dns.readme_zone import server

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "dns" / "README.md"


class ExampleTests(TestCase):
    """Every `console` block."""

    timeout = 60

    async def test_each_example_prints_what_is_shown(self) -> None:
        """Each command, with our server in place of ns1.warp.example, prints what stands below it."""
        if shutil.which("dig") is None:
            raise SkipTest("dig is not installed")
        directory = Path(self.mktemp())
        directory.mkdir()
        ours = server(reactor, directory)
        self.addCleanup(ours.stop)
        [(host, port)] = ours.start(["127.0.0.1:0"])
        count = 0
        for example in examples(README.read_text()):
            command = example.command.replace("@ns1.warp.example", f"@{host} -p {port}")
            output, errors, status = await getProcessOutputAndValue("/bin/bash", ["-c", command], env=os.environ)
            printed = (output + errors).decode()
            self.assertEqual(status, 0, f"{example.command}\n{printed}")
            self.assertTrue(matches(example.expected, printed), f"line {example.line}: {command}\n{printed}")
            count += 1
        self.assertGreater(count, 15)


class LogTableTests(SynchronousTestCase):
    """The table and the code say the same."""

    def test_each_warning_is_explained(self) -> None:
        """What warp_dns logs as a warning or worse has a line, and nothing else has."""
        found = {message for path in (ROOT / "dns").rglob("*.py") for message in logged(path.read_text())}
        rows = re.findall(r"^\| `([^`]+)` \|", README.read_text().split("\n### The log\n")[1], re.MULTILINE)
        self.assertEqual(sorted(rows), sorted(found))

    def test_links_lead_somewhere(self) -> None:
        """Every file that the page links to is there."""
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", README.read_text()):
            self.assertTrue((README.parent / target).exists(), target)

    def test_the_metrics_are_those_that_are_told(self) -> None:
        """Each metric in the table is one that the collector hands out, and the other way round."""
        from prometheus_client import CollectorRegistry, generate_latest

        from warp_base.loop.turn_times import TurnCollector, TurnTimes
        from warp_base.nonblocking_writer import DroppedLinesCollector
        from warp_dns.serve.metrics import Counters, DnsCollector

        counters = Counters()
        counters.queries("udp", 1, 0)
        counters.changed("warp.example", 1, 0.0)
        registry = CollectorRegistry()
        registry.register(DnsCollector(counters))
        times = TurnTimes()
        times.turn_ended(0.2, 0.1, 0.0)
        registry.register(TurnCollector("warp_dns", times))
        registry.register(DroppedLinesCollector("warp_dns"))
        told = set(
            re.findall(r"^(\w+?)(?:_bucket|_sum|_count)?(?:\{| )", generate_latest(registry).decode(), re.MULTILINE)
        )
        section = README.read_text().split("\n### Metrics\n")[1].split("\n### ")[0]
        self.assertEqual(set(re.findall(r"`(warp_dns_\w+)", section)), told)

"""Tests of docs/monitoring: the tables say what the code counts, and Prometheus' own tools read the rest."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.docs.metrics import explained, made, mentioned
from warp_twisted.edge import refusals
from warp_twisted.edge.exchange.access_log import AccessEntry
from warp_twisted.http1.refusals import Refusal

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "docs" / "monitoring"
PROMTOOL_SECONDS = 60


def section(text: str, title: str) -> str:
    """Return what is below a heading."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def promtool(*arguments: str) -> None:
    """
    Run Prometheus' tool.

    :raises SkipTest: where it is not installed.
    :raises AssertionError: with what it says, if it finds something wrong.
    """
    program = shutil.which("promtool")
    if program is None:
        raise SkipTest("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=PROMTOOL_SECONDS, cwd=MONITORING, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class TableTests(SynchronousTestCase):
    """README.md and the code."""

    def setUp(self) -> None:
        self.text = (MONITORING / "README.md").read_text()

    def test_metrics(self) -> None:
        """Each metric of edge, agent and process has a line with its labels, and no line is of none."""
        paths = [*(ROOT / "warp_twisted").rglob("*.py"), *(ROOT / "dns" / "warp_base").rglob("*.py")]
        code = {found for path in paths for found in made(path.read_text(), ("warp_edge", "warp_agent"))}
        table = [
            found
            for title in ("Edge", "Agent", "Every process")
            for found in explained(section(self.text, title))
            if found[0] != "warp_info"
        ]
        self.assertEqual(len(table), len(set(table)))
        self.assertGreater(len(table), 90)
        self.assertEqual(code - set(table), set(), "not explained")
        self.assertEqual(set(table) - code, set(), "counted no more")

    def test_access_log(self) -> None:
        """Each field of a line is explained, in their order."""
        rows = re.findall(r"^\| `([a-z_]+)` \|", section(self.text, "The access log"), re.MULTILINE)
        self.assertEqual(rows, list(AccessEntry.__struct_fields__))
        first = msgspec.structs.fields(AccessEntry)
        self.assertEqual(next(field.name for field in first if not field.required), "tunnel")


class AlertTests(SynchronousTestCase):
    """The alert rules."""

    def test_known(self) -> None:
        """They ask for what is counted, and for reasons that there are; each says what to do."""
        known = _counted()
        rules = _rules()
        self.assertGreater(len(rules), 20)
        for rule in rules:
            self.assertEqual(mentioned(rule["expr"]) - known, set(), rule["alert"])
            self.assertEqual(set(rule["annotations"]), {"summary", "description"})
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
        reasons = {each.slug for each in vars(refusals).values() if isinstance(each, Refusal)}
        asked = [each for rule in rules for each in re.findall(r'reason=~"([a-z|-]+)"', rule["expr"])]
        self.assertTrue(asked)
        self.assertEqual({reason for each in asked for reason in each.split("|")} - reasons, set())

    def test_read_by_prometheus(self) -> None:
        """Prometheus loads them."""
        promtool("check", "rules", "warp.rules.yml")

    def test_what_they_fire_at(self) -> None:
        """They fire at what they are meant for, and not at what is well."""
        promtool("test", "rules", "warp.rules.test.yml")


class DashboardTests(SynchronousTestCase):
    """The dashboard."""

    def setUp(self) -> None:
        self.dashboard: dict[str, Any] = json.loads((MONITORING / "grafana.json").read_text())
        self.panels: list[dict[str, Any]] = self.dashboard["panels"]
        self.expressions = [target["expr"] for panel in self.panels for target in panel.get("targets", [])]

    def test_panels(self) -> None:
        """Each has a number of its own and a place where no other one is, and asks the chosen data source."""
        self.assertEqual(len({panel["id"] for panel in self.panels}), len(self.panels))
        taken: set[tuple[int, int]] = set()
        for panel in self.panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= cells
            for target in panel.get("targets", []):
                self.assertEqual(target["datasource"]["uid"], "${datasource}")

    def test_known(self) -> None:
        """It shows what is counted."""
        known = _counted()
        variables = [each["definition"] for each in self.dashboard["templating"]["list"] if each["type"] == "query"]
        self.assertGreater(len(self.expressions), 30)
        for expression in (*self.expressions, *variables):
            self.assertTrue(mentioned(expression))
            self.assertEqual(mentioned(expression) - known, set(), expression)

    def test_read_by_prometheus(self) -> None:
        """Prometheus reads each expression, with values in the place of Grafana's variables."""
        rules = [
            {"record": f"panel:{number}", "expr": _with_values(expression)}
            for number, expression in enumerate(self.expressions)
        ]
        path = Path(self.mktemp()).absolute()
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
        promtool("check", "rules", str(path))


class FindingTests(SynchronousTestCase):
    """Finding metrics."""

    def test_made(self) -> None:
        """Names get the ending of their kind; labels are those of the call, or of the helper."""
        source = """
CounterMetricFamily("warp_edge_a", "text", labels=["b"])
GaugeMetricFamily("warp_edge_c", "text")
HistogramMetricFamily(f"{self._prefix}_d", "text")
_counter("warp_agent_e", "text", lambda traffic: 0)
CounterMetricFamily("warp_agent_f", "text", labels=[*_ROUTE_LABELS, "direction"])
print("warp_edge_g")
"""
        self.assertEqual(
            {name: sorted(labels) for name, labels in made(source, ("warp_edge", "warp_agent"))},
            {
                "warp_edge_a_total": ["b"],
                "warp_edge_c": [],
                "warp_edge_d": [],
                "warp_agent_d": [],
                "warp_agent_e_total": ["hostname", "origin", "path"],
                "warp_agent_f_total": ["direction", "hostname", "origin", "path"],
            },
        )

    def test_mentioned(self) -> None:
        """Endings of histograms are left out, and names that a pattern stands for are found."""
        expression = 'rate(warp_edge_a_bucket[5m]) + rate({__name__=~"warp_(edge|dns)_b_bucket"}[5m]) > process_c'
        self.assertEqual(mentioned(expression), {"warp_edge_a", "warp_edge_b", "warp_dns_b", "process_c"})


def _counted() -> set[str]:
    """Return every metric that is explained somewhere."""
    texts = [(MONITORING / "README.md").read_text(), (ROOT / "dns" / "README.md").read_text()]
    in_dns = re.findall(r"`((?:warp|process)_[a-z_]+)(?:\{[a-z_,]+\})?`", texts[1])  # some rows have several
    return {name for text in texts for name, _ in explained(text)} | set(in_dns)


def _rules() -> list[dict[str, Any]]:
    text = (MONITORING / "warp.rules.yml").read_text()
    groups: Any = yaml.safe_load(text)
    return [rule for group in groups["groups"] for rule in group["rules"]]


def _with_values(expression: str) -> str:
    return re.sub(r"\$(edge|hostname|agent)", ".*", expression.replace("$__rate_interval", "5m"))

"""Tests that hold the tree to docs/architecture.md and the house style; the table is in tests.layers."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from fnmatch import fnmatchcase

from twisted.trial.unittest import SynchronousTestCase

from tests.layers import (
    LAYER_OF,
    PURE_LIBRARIES_OF,
    between_wings,
    circles,
    complaints,
    crowded,
    layer_of,
    wing_of,
)
from tests.rooms import ROOT, documented, imported, module_imports, package_names, sources, table

MAX_LINES = 400
# Modules that are longer, each with the reason why it is one idea all the same.
LONGER = {
    "warp_twisted.edge.visitors.connection": "one state: what is held, queued, kept and paused decide about each byte",
    "warp_twisted.edge.exchange.exchange": "one state: request, stream and answer decide about each other's bytes",
    "warp_twisted.wire.connection": "one state: streams, their credit and the goodbye decide about each frame together",
    "warp_twisted.tunnel.protocol": "one state: transport, connection and outcome decide about each byte and ping",
    "warp_twisted.tunnel.tls": "one state: handshake, records, backpressure and goodbye share the two memory buffers",
}
# Imported by name, and brought along by a declared dependency as part of its interface.
COMES_WITH = {"zope": "twisted", "hyperlink": "twisted", "constantly": "twisted", "requests": "acme"}


class TreeTests(SynchronousTestCase):
    """Every module of the product."""

    def setUp(self) -> None:
        self.modules = list(sources())
        self.known = {name for name, _, _ in self.modules}

    def test_no_import_goes_the_wrong_way(self) -> None:
        """Each module imports only what its layer may know."""
        found = [
            sentence
            for name, is_package, path in self.modules
            for sentence in complaints(name, path.read_text(), self.known, is_package=is_package)
        ]
        self.assertEqual(found, [], "\n".join(found))

    def test_no_circle_of_modules(self) -> None:
        """No module imports, however indirectly, one that imports it; type checking counts."""
        self.assertEqual(circles(module_imports()), [])

    def test_no_circle_of_wings(self) -> None:
        """No wing imports, however indirectly, one that imports it: of two wings one is the lower."""
        wings = between_wings(module_imports(), package_names())
        self.assertEqual(circles(wings), [])

    def test_no_folder_is_crowded(self) -> None:
        """A folder holds no more modules than one can overlook."""
        self.assertEqual(crowded(self.known, package_names()), [])

    def test_the_table_of_rooms(self) -> None:
        """docs/architecture.md shows the rooms and their imports as they are."""
        wanted = table(module_imports(), package_names())
        self.assertEqual(documented(), wanted, "`python -m tests.rooms` writes it anew")

    def test_each_third_party_import_is_declared(self) -> None:
        """What is imported stands in pyproject.toml, so that a plain install has it."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        declared = {_normal(re.split(r"[\[<>=~! ]", line)[0]) for line in project["dependencies"]}
        optional = {
            _normal(re.split(r"[\[<>=~! ]", line)[0])
            for extra in ("deploy", "geo")
            for line in project["optional-dependencies"].get(extra, ())
        }
        distributions = importlib.metadata.packages_distributions()
        missing = set()
        for name in self.known:
            for line, target in imported()[name]:
                top = target.split(".")[0]
                if top in sys.stdlib_module_names or top in ("warp_twisted", "warp_dns", "warp_base"):
                    continue
                owners = {_normal(owner) for owner in distributions.get(top, [top])} | {COMES_WITH.get(top, top)}
                if not owners & (declared | optional):
                    missing.add(f"{name}:{line}: {top} is not among the dependencies")
        self.assertEqual(missing, set())

    def test_each_line_of_the_tables_is_about_a_module(self) -> None:
        """No line of LAYER_OF is left from a module that moved, and each library that is let in is imported there."""
        deciding = {
            next(p for p, _ in LAYER_OF if fnmatchcase(name, p)) for name in self.known if layer_of(name) is not None
        }
        self.assertEqual([pattern for pattern, _ in LAYER_OF if pattern not in deciding], [])
        used = {
            (pattern, target.split(".")[0])
            for name in self.known
            for pattern in PURE_LIBRARIES_OF
            if fnmatchcase(name, pattern)
            for _, target in imported()[name]
        }
        allowed = {(pattern, library) for pattern, libraries in PURE_LIBRARIES_OF.items() for library in libraries}
        self.assertEqual(sorted(allowed - used), [])

    def test_dns_directory_is_no_package(self) -> None:
        """`dns/__init__.py` must not exist: it would shadow dnspython's package of that name."""
        self.assertFalse((ROOT / "dns" / "__init__.py").exists())
        self.assertFalse((ROOT / "warp_twisted" / "_dropins" / "twisted" / "__init__.py").exists())
        self.assertFalse((ROOT / "warp_twisted" / "_dropins" / "twisted" / "plugins" / "__init__.py").exists())

    def test_modules_stay_small(self) -> None:
        """A module over 400 lines needs a reason in LONGER."""
        lengths = {name: len(path.read_text().splitlines()) for name, _, path in self.modules}
        long = {name: length for name, length in lengths.items() if length > MAX_LINES and name not in LONGER}
        self.assertEqual(long, {})

    def test_each_module_says_which_room_it_is(self) -> None:
        """Each module opens with a docstring."""
        mute = [name for name, _, path in self.modules if not ast.get_docstring(ast.parse(path.read_text()))]
        self.assertEqual(mute, [])

    def test_nothing_is_left_to_do(self) -> None:
        """The product holds no marker of unfinished work."""
        marker = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
        left = [name for name, _, path in self.modules if marker.search(path.read_text())]
        self.assertEqual(left, [])


class ComplaintTests(SynchronousTestCase):
    """The check itself: one sample of each offence, and one of what is allowed."""

    known = {
        "warp_twisted",
        "warp_twisted.names",
        "warp_twisted.wire",
        "warp_twisted.wire.frames",
        "warp_twisted.registry",
        "warp_twisted.registry.model",
        "warp_twisted.edge",
        "warp_twisted.edge.routes.table",
        "warp_twisted.agent",
        "warp_twisted.agent.service",
        "warp_base.yaml_reader",
        "warp_dns.message.wire",
        "warp_dns.zone.lookup",
    }

    def assert_refused(self, module: str, source: str, reason: str) -> None:
        """Assert that one line of source is refused for a reason."""
        found = complaints(module, source, self.known)
        self.assertEqual(len(found), 1, found)
        self.assertIn(reason, found[0])

    def assert_allowed(self, module: str, source: str) -> None:
        """Assert that nothing is said against a source."""
        self.assertEqual(complaints(module, source, self.known), [])

    def test_higher_layer(self) -> None:
        """A lower layer importing a higher one is refused, also relatively and inside a function."""
        for source in (
            "import warp_twisted.edge.routes.table",
            "from warp_twisted.edge.routes import table",
            "from ..edge.routes.table import RouteTable",
            "def f():\n    from warp_twisted.edge.routes.table import RouteTable",
        ):
            self.assert_refused("warp_twisted.wire.frames", source, "warp_twisted.edge.routes.table in layer 3")

    def test_lower_layer(self) -> None:
        """A higher layer may import any lower one."""
        self.assert_allowed("warp_twisted.edge.routes.table", "from warp_twisted.registry import model\nimport klein")

    def test_pure_layer(self) -> None:
        """Layer 1 takes no Twisted, no clock, no log and no unlisted library."""
        for source in ("from twisted.internet import defer", "import klein"):
            self.assert_refused("warp_twisted.wire.frames", source, "layer 1 uses only")
        for source in ("import time", "from logging import getLogger", "import socket"):
            self.assert_refused("warp_twisted.wire.frames", source, "no clock, log, socket or thread")
        self.assert_refused("warp_twisted.ca.issue", "x = datetime.now()", "handed the time")
        self.assert_allowed("warp_twisted.ca.issue", "from datetime import datetime\nfrom cryptography import x509")

    def test_bottom_layer(self) -> None:
        """Layer 0 takes the standard library only."""
        self.assert_refused("warp_twisted.names", "import msgspec", "standard library only")

    def test_edge_and_agent(self) -> None:
        """Edge and agent never import each other; the command may import both."""
        self.assert_refused(
            "warp_twisted.edge.routes.table", "import warp_twisted.agent.service", "never import each other"
        )
        self.assert_refused("warp_twisted.agent.service", "from ..edge.routes import table", "never import each other")
        self.assert_allowed(
            "warp_twisted.demo.command", "import warp_twisted.agent.service, warp_twisted.edge.routes.table"
        )

    def test_dns_stands_alone(self) -> None:
        """warp_dns never imports warp_twisted, and only its codec knows dnslib."""
        self.assert_refused("warp_dns.zone.lookup", "import warp_twisted.names", "never imports warp_twisted")
        self.assert_refused("warp_dns.zone.lookup", "import dnslib", "only warp_dns.message.wire knows")
        self.assert_allowed("warp_dns.message.wire", "import dnslib")

    def test_base_knows_neither_package(self) -> None:
        """warp_base imports neither warp_dns nor warp_twisted; both may import it."""
        for source in ("import warp_dns.zone.lookup", "import warp_twisted.names"):
            self.assert_refused("warp_base.yaml_reader", source, "imports neither warp_dns nor warp_twisted")
        for module in ("warp_dns.zone.lookup", "warp_twisted.wire.frames"):
            self.assert_allowed(module, "import warp_base.yaml_reader")

    def test_reactor(self) -> None:
        """Only layer 4 names the reactor."""
        source = "def f():\n    from twisted.internet import reactor"
        self.assert_refused("warp_twisted.edge.routes.table", source, "only tap and cli name the reactor")
        self.assert_allowed("warp_twisted.edge.tap", source)

    def test_environment(self) -> None:
        """Only layer 4 reads the environment."""
        self.assert_refused("warp_twisted.edge.routes.table", "import os\nos.environ['A']", "only tap and cli read")

    def test_two_clocks(self) -> None:
        """The wall clock is handed in, and what takes an instant of the calendar is not given one of the reactor's."""
        for source in ("import time\ntime.time()", "from time import time", "def f(now=time.time): pass"):
            self.assert_refused("warp_twisted.agent.service", source, "handed in as wall")
        for source in ("datetime.now(UTC)", "datetime.datetime.now(UTC)", "datetime.date.today()"):
            self.assert_refused("warp_twisted.agent.service", source, "handed in as wall")
        self.assert_refused(
            "warp_twisted.agent.service", "utc(self._reactor.seconds())", "an instant of the clock of durations"
        )
        for source in ("from time import monotonic", "utc(self._wall.now())", "time.gmtime(instant)"):
            self.assert_allowed("warp_twisted.agent.service", source)
        self.assert_allowed("warp_twisted.edge.tap", "import time\ntime.time()")

    def test_unknown_module(self) -> None:
        """A module that the table does not know is refused until it is placed."""
        self.assertIsNone(layer_of("warp_twisted.attic"))
        self.assert_refused("warp_twisted.attic", "", "which layer")


class CircleTests(SynchronousTestCase):
    """The search for circles and crowds."""

    packages = {"warp_dns", "warp_dns.zone", "warp_dns.serve", "warp_base"}

    def test_circles(self) -> None:
        """A long way round is a circle, a diamond is none, and what hangs on a circle is not part of it."""
        self.assertEqual(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}), [["a", "b", "c"]])
        self.assertEqual(circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}), [])
        self.assertEqual(circles({"a": {"a", "elsewhere"}}), [])

    def test_wings(self) -> None:
        """A module counts with its wing; beside wings it counts alone; a package without wings is one room."""
        self.assertEqual(wing_of("warp_dns.zone.data", self.packages), "warp_dns.zone")
        self.assertEqual(wing_of("warp_dns.zone", self.packages), "warp_dns.zone")
        self.assertEqual(wing_of("warp_dns.errors", self.packages), "warp_dns.errors")
        self.assertEqual(wing_of("warp_base.slices", self.packages), "warp_base")

    def test_circle_of_wings(self) -> None:
        """Two wings whose modules import one another's make a circle, though no two modules do."""
        imports = {
            "warp_dns.zone.a": {"warp_dns.serve.b"},
            "warp_dns.serve.b": set[str](),
            "warp_dns.serve.c": {"warp_dns.zone.d"},
            "warp_dns.zone.d": set[str](),
        }
        self.assertEqual(circles(imports), [])
        self.assertEqual(circles(between_wings(imports, self.packages)), [["warp_dns.serve", "warp_dns.zone"]])

    def test_crowded(self) -> None:
        """The nineteenth module of a folder is one too many; wings and `__main__` do not count."""
        modules = {f"warp_base.m{number}" for number in range(18)} | {"warp_base.__main__"}
        self.assertEqual(crowded(modules, self.packages), [])
        self.assertEqual(
            crowded(modules | {"warp_base.one_more"}, self.packages), ["warp_base: 19 modules, 18 at most"]
        )


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()

"""Tests of `policy.judging.known_paths`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import compiled, judged, request, said
from warp_twisted.policy.judging import known_paths
from warp_twisted.policy.judging.known_paths import MAX_BYTES, KnownPath, KnownPaths
from warp_twisted.policy.judging.path_facts import PathFacts
from warp_twisted.policy.verdict import Action

_POLICY = """
rules:
- {name: other, match: {hostname: b.example, path: /a/*}, deny: true}
- {name: local, match: {hostname: app.warp.example, path: /a/*, source: 192.0.2.1}, deny: true}
- {name: api, match: {hostname: app.warp.example}, routes: ["GET /a/*", "POST /b"]}
"""


class KnownPathsTests(SynchronousTestCase):
    """What is remembered of paths."""

    def test_bounded(self) -> None:
        """All programs have room for so many paths together; then everything is forgotten."""
        self.patch(known_paths, "MAX_PATHS", 10)
        paths = KnownPaths()
        tables = [paths.table(), paths.table()]
        for number in range(100):
            paths.keep(tables[number % 2], KnownPath(PathFacts(b"/%d" % number), ()))
            self.assertLessEqual(sum(map(len, tables)), 10)
        self.assertEqual(sorted(tables[1]), [b"/91", b"/93", b"/95", b"/97", b"/99"])

    def test_what_is_kept(self) -> None:
        """Plain paths of some length are; others are judged anew each time."""
        paths = KnownPaths()
        table = paths.table()
        for path in (b"/a", b"/" + b"a" * (MAX_BYTES - 1)):
            paths.keep(table, KnownPath(PathFacts(path), ()))
            self.assertIn(path, table)
        for path in (b"/" + b"a" * MAX_BYTES, b"/a//b", b"/a%20b", b"*"):
            paths.keep(table, KnownPath(PathFacts(path), ()))
        self.assertEqual(len(table), 2)

    def test_the_rest_is_judged_anew(self) -> None:
        """A path that is known leads to the same rules: hostname, method and address still decide."""
        policy = compiled(_POLICY)
        for _ in range(2):
            for host, line, address, expected in (
                ("b.example", "GET /a/x", "203.0.113.9", "other: denied"),
                ("app.warp.example", "GET /a/x", "203.0.113.9", "allow"),
                ("app.warp.example", "GET /a/x", "192.0.2.1", "local: denied"),
                ("app.warp.example", "POST /a/x", "203.0.113.9", "api: route"),
                ("app.warp.example", "POST /b", "203.0.113.9", "allow"),
                ("app.warp.example", "POST /b?q=1", "203.0.113.9", "allow"),
                ("app.warp.example", "GET /b", "203.0.113.9", "api: route"),
            ):
                self.assertEqual(said(policy, request(line, host=host, address=address)), expected, (host, line))

    def test_routes_of_many_rules(self) -> None:
        """Where a path leads to many rules their routes are not kept, and decide as before."""
        rules = "".join(f"- {{name: r{number}, routes: ['GET /a/*', 'POST /b{number}']}}\n" for number in range(9))
        policy = compiled("rules:\n" + rules)
        program = policy.program_for("app.warp.example")
        assert program is not None
        for _ in range(2):
            self.assertEqual(said(policy, "GET /a/x"), "allow")
            self.assertEqual(said(policy, "POST /b0"), "r1: route")
        paths = KnownPaths()
        for count, is_kept in ((8, True), (9, False)):
            path = PathFacts(b"/a/x")
            paths.keep(paths.table(), KnownPath(path, program.rules[:count]))
            self.assertEqual(path.methods is not None, is_kept)

    def test_many(self) -> None:
        """Whoever asks for more paths than are known changes nothing for others."""
        self.patch(known_paths, "MAX_PATHS", 10)
        policy = compiled(_POLICY)
        for number in range(50):
            self.assertEqual(said(policy, f"GET /a/{number}"), "local: denied")
            self.assertIs(judged(policy, request("GET /a/x", address="203.0.113.9")).action, Action.ALLOW)

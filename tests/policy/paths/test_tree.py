"""Tests of `policy.paths.tree`."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.paths.patterns import parse_pattern
from warp_twisted.policy.paths.tree import ExactTree, LooseTree, exact_segments

_PATTERNS = ("/", "/*", "/admin", "/admin/*", "/a/*/c", "/js/*.js", "/caf\xe9", "/a b", "/dir/")
_SEGMENT = st.sampled_from(["a", "b", "*", "a*", "*b"])


def exact(path: str | bytes, *patterns: str) -> list[str]:
    """Return which patterns permit a path."""
    tree: ExactTree[str] = ExactTree()
    for pattern in patterns or _PATTERNS:
        tree.add(parse_pattern(pattern), pattern)
    return sorted(tree.find(exact_segments(path if isinstance(path, bytes) else path.encode())))


def loosely(path: str | bytes, *patterns: str) -> list[str]:
    """Return which patterns restrict a path, without `/*`."""
    tree: LooseTree[str] = LooseTree()
    for pattern in patterns or _PATTERNS:
        tree.add(parse_pattern(pattern), pattern)
    return sorted(set(tree.find(path if isinstance(path, bytes) else path.encode())) - ({"/*"} - {*patterns}))


class ExactTests(SynchronousTestCase):
    """What permits."""

    def test_find(self) -> None:
        """Segment by segment: case, encoding and a slash at the end make a difference."""
        for path, patterns in (
            ("/", ["/", "/*"]),
            ("/admin", ["/*", "/admin"]),
            ("/admin/", ["/*", "/admin/*"]),
            ("/admin/a/b", ["/*", "/admin/*"]),
            ("/Admin/a", ["/*"]),
            ("/a/b/c", ["/*", "/a/*/c"]),
            ("/a//c", ["/*"]),
            ("/js/x.js", ["/*", "/js/*.js"]),
            ("/js/x.js/y", ["/*"]),
            ("/caf%C3%A9", ["/*", "/caf\xe9"]),
            ("/a%20b", ["/*", "/a b"]),
            ("/%61%20b", ["/*"]),
            ("/dir/", ["/*", "/dir/"]),
            ("/dir", ["/*"]),
        ):
            self.assertEqual(exact(path), patterns, path)
        self.assertEqual(exact("*"), [])


class LooseTests(SynchronousTestCase):
    """What restricts."""

    def test_find(self) -> None:
        """Whatever some server takes for the same is the same."""
        for path, patterns in (
            ("/", ["/"]),
            ("/admin", ["/admin", "/admin/*"]),
            ("/ADMIN/", ["/admin", "/admin/*"]),
            ("/%61dmin/x", ["/admin/*"]),
            ("/admin./x", ["/admin/*"]),
            ("/admin%20/x", ["/admin/*"]),
            ("/%ef%bd%81dmin/x", ["/admin/*"]),
            ("/adm%c4%b1n", []),  # a dotless i stays one
            ("/ad%e2%80%8dmin", ["/admin", "/admin/*"]),  # with an invisible joiner
            ("/administrator", []),
            ("/A/b/C/", ["/a/*/c"]),
            ("/JS/x.JS", ["/js/*.js"]),
            ("/CAF%C3%89", ["/caf\xe9"]),
            ("/cafe%CC%81", ["/caf\xe9"]),
            ("/dir", ["/dir/"]),
        ):
            self.assertEqual(loosely(path), patterns, path)

    def test_below_is_the_path_itself_too(self) -> None:
        """`/a/*` restricts `/a` as well: servers answer both alike."""
        self.assertEqual((loosely("/a", "/a/*"), exact("/a", "/a/*")), (["/a/*"], []))

    def test_the_server_as_a_whole(self) -> None:
        """`OPTIONS *` is restricted like the root, and permitted by no pattern."""
        self.assertEqual((loosely("*", "/*", "/", "/a"), exact("*", "/*", "/")), (["/", "/*"], []))

    @given(
        st.lists(st.lists(_SEGMENT, min_size=1, max_size=3), max_size=8),
        st.lists(st.text("ab", max_size=3), max_size=4),
    )
    def test_as_one_pattern_after_the_other(self, patterns: list[list[str]], path: list[str]) -> None:
        """Many patterns in a tree match what each of them matches; what permits restricts, too."""
        texts = ["/" + "/".join(pattern) for pattern in patterns]
        target = "/" + "/".join(path)
        expected = sorted({text for text in texts if _permits(text, target)})
        self.assertEqual(sorted(set(exact(target, *texts))) if texts else [], expected)
        self.assertLessEqual({*expected}, {*loosely(target, *texts)} if texts else set())


def _permits(pattern: str, path: str) -> bool:
    wanted, given_ = pattern.split("/")[1:], path.split("/")[1:]
    if wanted[-1] == "*":
        wanted, rest = wanted[:-1], given_[len(wanted) - 1 :]
        if not rest:
            return False
        given_ = given_[: len(wanted)]
    if len(wanted) != len(given_):
        return False
    return all(fnmatchcase(b, a) and (a != "*" or b != "") for a, b in zip(wanted, given_, strict=True))

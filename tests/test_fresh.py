"""Tests for tests.fresh: what is taken over from a machine, how a run is judged, and when one is due."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fresh.machine import apt_lines, named_paths, variables
from tests.fresh.stamp import Stamp, state
from tests.fresh.trial import Reader, Verdict


class MachineTests(SynchronousTestCase):
    """What is taken over."""

    def test_variables(self) -> None:
        """Those that say how packages are reached, in either case; none of what else this shell has."""
        given = {
            "PIP_INDEX_URL": "index",
            "https_proxy": "proxy",
            "NO_PROXY": "localhost",
            "SSL_CERT_FILE": "/etc/certificates.pem",
            "HOME": "/root",
            "PYTHONPATH": "/root/warp",
            "VIRTUAL_ENV": "/root/warp/.venv",
        }
        self.assertEqual(variables(given).keys(), given.keys() - {"HOME", "PYTHONPATH", "VIRTUAL_ENV"})

    def test_apt_lines(self) -> None:
        """How apt downloads is kept; hooks and indexes of a desktop are not."""
        dump = (
            'APT "";\nAcquire::http::Proxy "a";\nAcquire::Check-Date "false";\nDPkg::Post-Invoke:: "rm -f x";\n'
            'Acquire::IndexTargets::deb::DEP-11 "";\n'
        )
        self.assertEqual(apt_lines(dump), 'Acquire::http::Proxy "a";\nAcquire::Check-Date "false";\n')

    def test_named_paths(self) -> None:
        """Paths that exist are found in values and lines; those of addresses, and what is not there, are not."""
        here = Path(self.mktemp()).absolute()
        here.mkdir()
        text = f'cert = {here}\nfind-links = https://example.org/etc\nother = "/no/such/path"\n'
        self.assertEqual(list(named_paths(text)), [here])


class ReaderTests(SynchronousTestCase):
    """What a run comes to, from what it prints."""

    def judged(self, *lines: str, steps: tuple[str, ...] = ("demo", "test", "check")) -> Verdict:
        """Read lines, one a second."""
        now = iter(range(1000))
        reader = Reader(steps, lambda: next(now))
        for line in lines:
            reader.read(f"{line}\n")
        return reader.end()

    def test_all_is_well(self) -> None:
        """The counts are the tests' own, and each step has a line with its time."""
        verdict = self.judged(
            "== begins: make demo", "ok", "== passed: make demo",
            "== begins: make test", "5 passed, 0 failed, 0 skipped", "== passed: make test",
            "== begins: make check", "== passed: make check",
        )  # fmt: skip
        self.assertEqual(verdict.line(), "5 passed, 0 failed, 0 skipped")
        self.assertEqual(verdict.lines[1], "make test: passed after 1 s")
        self.assertTrue(verdict.is_good)

    def test_step_without_counts_that_fails(self) -> None:
        """It is one failure more, and the others count all the same."""
        verdict = self.judged(
            "== begins: make demo", "== failed: make demo",
            "== begins: make test", "5 passed, 0 failed, 0 skipped", "== passed: make test",
            "== begins: make check", "== failed: make check",
        )  # fmt: skip
        self.assertEqual(verdict.line(), "5 passed, 2 failed, 0 skipped")
        self.assertFalse(verdict.is_good)

    def test_tests_that_fail(self) -> None:
        """Their failures are counted once; a skip that fails the run stays a skip, and the run is not good."""
        for counts in ("5 passed, 3 failed, 0 skipped", "5 passed, 0 failed, 1 skipped"):
            verdict = self.judged("== begins: make test", counts, "== failed: make test", steps=("test",))
            self.assertEqual(verdict.line(), counts)
            self.assertFalse(verdict.is_good)

    def test_step_that_never_ends(self) -> None:
        """A run that is cut short has failed, also when nothing failed before."""
        verdict = self.judged("== begins: make demo", "== passed: make demo", "== begins: make test")
        self.assertEqual(verdict.line(), "0 passed, 1 failed, 0 skipped")
        self.assertEqual(verdict.lines[-1], "make test: did not end")
        self.assertFalse(verdict.is_good)

    def test_tests_that_were_none(self) -> None:
        """Where nothing passed nothing was tried."""
        verdict = self.judged("== begins: make test", "== passed: make test", steps=("test",))
        self.assertFalse(verdict.is_good)


class StampTests(SynchronousTestCase):
    """When a run is due."""

    def test_content_decides(self) -> None:
        """Another Makefile, list of packages or version is another state; another module of the product is not."""
        listing = "100644 blob {}\t{}\n"
        base = [("a", "Makefile"), ("b", "constraints/python3.11.txt"), ("c", "tests/debian-packages.txt")]
        product = ("d", "warp_twisted/names.py")

        def of(*files: tuple[str, str]) -> str:
            return state("".join(listing.format(*each) for each in files))

        first = of(*base, product)
        self.assertEqual(of(*base, ("changed", product[1])), first)
        for at, (_, path) in enumerate(base):
            self.assertNotEqual(of(*base[:at], ("changed", path), *base[at + 1 :], product), first, path)

    def test_due_until_it_passed(self) -> None:
        """A machine without a stamp is due; after a pass only another state is."""
        stamp = Stamp(Path(self.mktemp()) / "cache")
        self.assertTrue(stamp.is_due("one"))
        stamp.passed("one")
        self.assertFalse(stamp.is_due("one"))
        self.assertTrue(stamp.is_due("two"))

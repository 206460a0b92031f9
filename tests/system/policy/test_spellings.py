"""No rule is passed by spelling: a corpus of paths, judged and then sent to real servers."""

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.case import short_directory_of
from tests.policy.judging.samples import compiled, judged
from tests.system.policy.origin_programs import Origins
from warp_twisted.cli.policy.asking import NeverJudged, read_request
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.compiler import CompiledPolicy
from warp_twisted.policy.paths.spelling import ALLOWABLE
from warp_twisted.policy.verdict import Action

_ALL = f"odd_paths: [{', '.join(sorted(ALLOWABLE))}]"
_RESTRICTING = "rules: [{name: r, match: {path: /admin/*}, deny: true%s}]"
_PERMITTING = "rules: [{name: r, routes: ['GET /v1/*']%s}]"

_SPELLINGS = (Path(__file__).parent / "spellings.txt").read_text().split()
_PIECES = ["/", "/", "admin", "v1", "a", "..", ".", "%2e", "%2f", "%5c", "\\", ";", ";x", "%3b", "%00", "%25", "%252f"]


def spellings() -> list[str]:
    """Return the corpus, and as many again that are put together by chance, the same ones each time."""
    chance = random.Random(7)
    made = ["/" + "".join(chance.choices(_PIECES, k=chance.randint(2, 7))) for _ in range(300)]
    return [*_SPELLINGS, *made]


def is_admin(path: str) -> bool:
    """Whether a server that looks for this path finds the administration."""
    parts = path.lower().split("/")
    return len(parts) > 1 and parts[1] == "admin"


class SpellingTests(SynchronousTestCase):
    """Four servers."""

    def setUp(self) -> None:
        directory = short_directory_of(self)
        self.origins = Origins(directory)
        self.addCleanup(self.origins.stop)
        self.origins.start()
        self.requests: list[Facts] = []
        for spelling in spellings():
            try:
                self.requests.append(read_request(f"GET http://app.warp.example{spelling}", "192.0.2.1"))
            except NeverJudged:
                continue

    def let_in(self, policy: CompiledPolicy) -> list[Facts]:
        """Return the requests that a policy lets through."""
        found = [facts for facts in self.requests if judged(policy, facts).action is Action.ALLOW]
        self.assertGreater(len(found), 5)
        return found

    def test_no_spelling_passes(self) -> None:
        """
        What a rule about /admin/* lets through finds the administration on no server, and what routes let through is
        below /v1/ on each, whatever oddities are allowed; and the corpus bites: without a policy each server finds it.
        """
        found = {
            name: {facts.target: self.origins.paths(name, b"GET", facts.target) for facts in self.requests}
            for name in self.origins.names
        }
        for name, paths in found.items():
            bites = {target for target, each in paths.items() if any(map(is_admin, each))}
            self.assertGreater(len(bites - {b"/admin", b"/admin/", b"/admin/x"}), 2, name)
        for odd in ("", f", {_ALL}"):
            for facts in self.let_in(compiled(_RESTRICTING % odd)):
                for name, paths in found.items():
                    self.assertFalse(any(map(is_admin, paths[facts.target])), f"{name}: {facts.target!r}")
            for facts in self.let_in(compiled(_PERMITTING % odd)):
                for name, paths in found.items():
                    for path in paths[facts.target]:
                        # Go's path.Clean cuts the slash off /v1/ itself.
                        self.assertTrue(f"{path}/".startswith("/v1/"), f"{name}: {facts.target!r} is {path}")

"""Tests for `warp_twisted.policy.authentication.basic`."""

import subprocess
import sys
import time
from base64 import b64encode

from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.policy.authentication.basic import MAX_PASSWORD, RIGHT_SECONDS, WRONG_SECONDS, BasicCheck
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome, Question

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
USERS = {"ann": FAST.hash("geheim"), "bö": FAST.hash("p:w")}

# A hash that takes 256 MiB, in a process that may have no more than some megabytes beyond what it has.
_WITHOUT_MEMORY = """
import resource
from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.policy.authentication.basic import BasicCheck
text = "$argon2id$v=19$m=262144,t=1,p=1$d2FycC1ub2JvZHktc2FsdA$WYnoErK4FyQ8BFhs0YpkpJdS1QvqyHVXk5bfvhl7pGg"
check = BasicCheck("rules[0].basic", "Warp", {"ann": text})
line = "Authorization: Basic YW5uOng="
found = check.look(request(line), NOW, WALL)
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
answer = check.is_right(found)
check.remember(found, answer, NOW)
print(answer.outcome.name.lower(), type(check.look(request(line), NOW, WALL)).__name__)
"""


def basic(name: str, password: str, *, scheme: str = "Basic") -> str:
    """Return the field line of a user's credentials."""
    return f"Authorization: {scheme} {b64encode(f'{name}:{password}'.encode()).decode()}"


class BasicCheckTests(SynchronousTestCase):
    """`BasicCheck`."""

    def setUp(self) -> None:
        self.check = BasicCheck("rules[0].basic", "Warp", USERS)

    def outcome(self, *lines: str) -> Answer:
        """Look, and answer the question if there is one."""
        found = self.check.look(request(*lines), NOW, WALL)
        if isinstance(found, Question):
            answer = self.check.is_right(found)
            self.check.remember(found, answer, NOW)
            return answer
        return found

    def test_right_and_wrong(self) -> None:
        """A user comes in with the password, in any spelling of the scheme, and in UTF-8; nobody else does."""
        self.assertEqual(self.outcome(basic("ann", "geheim")).identity, Identity("basic", "ann"))
        self.assertEqual(self.outcome(basic("ann", "geheim", scheme="bAsic ")).outcome, Outcome.PROVEN)
        self.assertEqual(self.outcome(basic("bö", "p:w")).identity, Identity("basic", "bö"))
        for line in (basic("ann", "Geheim"), basic("ann", ""), basic("bob", "geheim"), basic("bob", "p:w")):
            self.assertEqual(self.outcome(line).outcome, Outcome.REFUSED, line)
        self.assertEqual(self.outcome(), ABSENT)
        self.assertEqual(self.outcome("Authorization: Bearer x"), ABSENT)

    def test_nobody(self) -> None:
        """No such user costs what most users of the file cost, so that the time does not tell."""
        slow = PasswordHasher(time_cost=3, memory_cost=32_768, parallelism=1).hash("x")
        for users in (USERS, {"old": slow, **USERS}, {**USERS, "new": slow}):
            check = BasicCheck("rules[0].basic", "Warp", users)
            seconds = []
            for name in ("ann", "bob"):
                found = check.look(request(basic(name, "wrong")), NOW, WALL)
                assert isinstance(found, Question)
                began = time.process_time()
                check.is_right(found)
                seconds.append(time.process_time() - began)
            self.assertLess(seconds[1], 10 * seconds[0] + 0.01)

    def test_without_memory(self) -> None:
        """Where the hash cannot be made, nobody is told that a password is wrong, and nothing is remembered."""
        ended = subprocess.run([sys.executable, "-c", _WITHOUT_MEMORY], capture_output=True, text=True, check=True)
        self.assertEqual(ended.stdout.split(), ["busy", "Question"])

    def test_malformed(self) -> None:
        """What can be read in two ways, or in none, is refused without a question."""
        right = basic("ann", "geheim")
        for lines in (
            [right, right],
            [right, basic("bob", "x")],
            [right.replace("Authorization", "Author_ization").replace("Author_", "author"), right],
            ["Authorization: Basic"],
            ["Authorization: Basic !!!!"],
            ["Authorization: Basic YW5u"],
            ["Authorization: Basic " + b64encode(b"\xff:x").decode()],
            [right + "="],
            [basic("ann", "x" * (MAX_PASSWORD + 1))],
        ):
            found = self.check.look(request(*lines), NOW, WALL)
            assert isinstance(found, Answer), lines
            self.assertIn(found.outcome, (Outcome.REFUSED, Outcome.ABSENT), lines)

    def test_remembered(self) -> None:
        """A right password costs hashing once in five minutes, a wrong one once in ten seconds."""
        for line, seconds in ((basic("ann", "geheim"), RIGHT_SECONDS), (basic("ann", "x"), WRONG_SECONDS)):
            answer = self.outcome(line)
            self.assertEqual(self.check.look(request(line), NOW + seconds - 1, WALL), answer)
            self.assertIsInstance(self.check.look(request(line), NOW + seconds, WALL), Question)
        self.assertIsInstance(BasicCheck("rules[0].basic", "Warp", USERS).look(request(line), NOW, WALL), Question)

    def test_the_question_shows_no_password(self) -> None:
        """Neither its text nor that of an answer holds the credential."""
        line = basic("ann", "geheim")
        found = self.check.look(request(line), NOW, WALL)
        assert isinstance(found, Question)
        self.assertNotIn(line.split()[-1], repr(found))
        self.assertEqual(found, self.check.look(request(line), NOW, WALL))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, value: bytes) -> None:
        """Whatever stands there, it is answered or asked, and only the right password proves anything."""
        line = "Authorization: Basic " + value.decode("latin-1").replace("\r", "").replace("\n", "")
        found = self.check.look(request(line), NOW, WALL)
        if isinstance(found, Question):
            self.assertNotEqual(self.check.is_right(found).outcome, Outcome.PROVEN)

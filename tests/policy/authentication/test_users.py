"""Tests for `warp_twisted.policy.authentication.users`."""

import contextlib

from argon2 import PasswordHasher
from argon2.low_level import Type
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.authentication.users import NOBODY, UsersError, read_users

GOOD = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("geheim")


class ReadUsersTests(SynchronousTestCase):
    """`read_users`."""

    def test_a_file(self) -> None:
        """Names, hashes, comments, empty lines."""
        text = f"# staff\n\nann:{GOOD}\r\nbob:{PasswordHasher().hash('x')}\n"
        self.assertEqual(list(read_users(text)), ["ann", "bob"])
        self.assertEqual(list(read_users(f"nobody:{NOBODY}")), ["nobody"])

    def test_refused(self) -> None:
        """The line is named, and no hash is quoted."""
        for text, reason in {
            "ann": "line 1: expected name:hash",
            f":{GOOD}": "line 1: expected a name",
            f"# x\nann:{GOOD}\nann:{GOOD}": "line 3: the user 'ann' is there already",
            "ann:geheim": "line 1: expected an argon2id hash",
            "ann:$2y$05$abcdefghijklmnopqrstuv": "line 1: expected an argon2id hash",
            "ann:" + PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.I).hash("x"): "argon2id",
            "ann:" + GOOD.replace("m=8", "m=9999999"): "costs too much",
            "ann:" + GOOD.replace("t=1", "t=9999"): "costs too much",
            "ann:" + GOOD.replace("m=8", "m=262144").replace("t=1", "t=16"): "costs too much",
            "ann:" + GOOD.replace("p=1", "p=255"): "costs too much",
            "ann:" + GOOD.replace("v=19", "v=16"): "expected an argon2id hash",
        }.items():
            with self.assertRaisesRegex(UsersError, reason) as caught:
                read_users(text)
            self.assertNotIn("geheim", str(caught.exception))

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        """Whatever stands there is read or refused by our own error."""
        with contextlib.suppress(UsersError):
            self.assertIsInstance(read_users(text), dict)

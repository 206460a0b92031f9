"""Tests for `warp_twisted.policy.authentication.service_token`."""

from hashlib import sha256

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.policy.authentication.service_token import KnownToken, ServiceTokenCheck
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome

SECRET = "s" * 43
TOKENS = {
    "id1": KnownToken(token_id="id1", name="ci", digest=sha256(SECRET.encode()).digest()),
    "id2": KnownToken(token_id="id2", name="old", digest=sha256(SECRET.encode()).digest(), ends_at=WALL),
}


def look(*lines: str, names: frozenset[str] | None = None) -> Answer:
    """Look at a request with these lines."""
    return ServiceTokenCheck(TOKENS.get, names).look(request(*lines), NOW, WALL)


class LookTests(SynchronousTestCase):
    """`ServiceTokenCheck.look`."""

    def test_right(self) -> None:
        """Both pairs of names are read."""
        for prefix in ("Warp", "CF-Access"):
            answer = look(f"{prefix}-Client-Id: id1", f"{prefix}-Client-Secret: {SECRET}")
            self.assertEqual(answer.identity, Identity("service_token", "ci"))

    def test_wrong(self) -> None:
        """Unknown, ended, half or doubled: refused; none at all: absent."""
        right = ["Warp-Client-Id: id1", f"Warp-Client-Secret: {SECRET}"]
        for lines in (
            ["Warp-Client-Id: id1", "Warp-Client-Secret: x"],
            ["Warp-Client-Id: id1", "Warp-Client-Secret: "],
            ["Warp-Client-Id: id3", f"Warp-Client-Secret: {SECRET}"],
            ["Warp-Client-Id: id2", f"Warp-Client-Secret: {SECRET}"],
            ["Warp-Client-Id: \xff", f"Warp-Client-Secret: {SECRET}"],
            ["Warp-Client-Id: id1", "Warp-Client-Secret: " + "s" * 1000],
            right[:1],
            right[1:],
            [*right, right[0]],
            ["Warp_Client_Id: id1", right[1]],
        ):
            self.assertEqual(look(*lines).outcome, Outcome.REFUSED, lines)
        self.assertEqual(look(), ABSENT)

    def test_names(self) -> None:
        """A rule may name the tokens that it lets in."""
        lines = ["Warp-Client-Id: id1", f"Warp-Client-Secret: {SECRET}"]
        self.assertEqual(look(*lines, names=frozenset({"ci"})).outcome, Outcome.PROVEN)
        self.assertEqual(look(*lines, names=frozenset({"deploy"})).outcome, Outcome.REFUSED)

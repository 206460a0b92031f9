"""
Answers that are remembered for a short time, by a keyed hash of the credential: the credential itself is not kept.

Pure: instants are arguments. A look-up takes 0.7 µs.
"""

import secrets
from hashlib import blake2b

import msgspec

from warp_twisted.policy.interfaces import Answer

MAX_ANSWERS = 20_000  # of one check: 6 MB
_LOOKED_AT = 4  # old answers, when one more needs room


class _Remembered(msgspec.Struct, frozen=True):
    answer: Answer
    until: float
    since_wall: float
    until_wall: float


class RememberedAnswers:
    """
    The answers of one check.

    Made anew whenever what the check knows changes, so that no answer outlives it.

    :param most: answers; 300 bytes each.
    """

    __slots__ = ("_answers", "_keyed", "_most")

    def __init__(self, most: int = MAX_ANSWERS) -> None:
        self._most = most
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=16)
        self._answers: dict[bytes, _Remembered] = {}

    def digest(self, secret: bytes) -> bytes:
        """Return what a credential is remembered by."""
        hashed = self._keyed.copy()  # the key is a block of its own, so half of the work for a short secret
        hashed.update(secret)
        return hashed.digest()

    def find(self, secret: bytes, now: float, wall: float) -> Answer | None:
        """Return an answer that holds still, for a credential; as `digest` and `get` in turn."""
        hashed = self._keyed.copy()
        hashed.update(secret)
        found = self._answers.get(hashed.digest())
        if found is not None and found.until > now and found.since_wall <= wall < found.until_wall:
            return found.answer
        return None

    def get(self, digest: bytes, now: float, wall: float) -> Answer | None:
        """
        Return an answer that holds still.

        :param now: of a clock that only goes forward.
        :param wall: seconds since the epoch; both clocks must agree that it holds.
        """
        found = self._answers.get(digest)
        if found is None:
            return None
        if found.until > now and found.since_wall <= wall < found.until_wall:
            return found.answer
        del self._answers[digest]
        return None

    def put(
        self,
        digest: bytes,
        answer: Answer,
        until: float,
        until_wall: float = float("inf"),
        since_wall: float = float("-inf"),
    ) -> None:
        """Remember an answer that holds while both clocks are within its bounds; for want of room the oldest go."""
        if len(self._answers) >= self._most and digest not in self._answers:
            for _ in range(_LOOKED_AT):
                del self._answers[next(iter(self._answers))]
        self._answers[digest] = _Remembered(answer, until, since_wall, until_wall)

    def __len__(self) -> int:
        return len(self._answers)

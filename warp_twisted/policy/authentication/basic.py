"""
User name and password (RFC 7617), against argon2id hashes.

Pure: a password that is not remembered is a `Question`; `is_right` answers it and is to be called in a thread, as it
takes tens to hundreds of milliseconds.
"""

from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Hashable, Mapping

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from warp_twisted.policy.authentication.remembered import MAX_ANSWERS, RememberedAnswers
from warp_twisted.policy.authentication.users import MAX_NAME, decoy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome, Question

KIND = "basic"
MAX_PASSWORD = 1_024  # octets
RIGHT_SECONDS = 300.0  # for which a right password is remembered
WRONG_SECONDS = 10.0  # for which a wrong one is, so that a client that repeats it costs no hashing
_HEADER = b"authorization"
_MALFORMED = Answer(Outcome.REFUSED, reason="malformed")
_WRONG = Answer(Outcome.REFUSED, reason="unknown user or wrong password")
_hasher = PasswordHasher()  # its parameters are not used: those of the hash are


class BasicCheck:
    """
    One file of users.

    :param subject: unique among a policy's checks.
    :param realm: printable ASCII without quotes.
    :param users: name → argon2id hash, as `read_users` returns them.
    :param remembered: how many answers at most.
    :param asker: whoever named the users; of what one asker's checks ask, a bounded part waits. Unless given the check
        stands for itself.
    :ivar asker: the same.
    """

    kind = KIND
    carriers = (_HEADER,)
    authorities: tuple[bytes, ...] = ()

    def __init__(
        self,
        subject: str,
        realm: str,
        users: Mapping[str, str],
        remembered: int = MAX_ANSWERS,
        asker: Hashable | None = None,
    ) -> None:
        self.asker: Hashable = self if asker is None else asker
        self.challenge = f'Basic realm="{realm}", charset="UTF-8"'.encode("ascii")
        self._subject = subject
        self._users = users
        self._nobody = decoy(users)
        self._remembered = RememberedAnswers(remembered)

    def look(self, facts: Facts, now: float, wall: float) -> Answer | Question:
        """Return the answer if it is known, else the question for `is_right`."""
        values = facts.field(_HEADER)
        credentials = [value for value in values.all if value[:6].lower() == b"basic "]
        if not credentials:
            return ABSENT
        if not values.is_plain or len(credentials) != 1 or len(credentials[0]) > 6 + 4 * (MAX_PASSWORD + MAX_NAME):
            return _MALFORMED
        secret = credentials[0][6:].strip(b" ")
        known = self._remembered.get(self._remembered.digest(secret), now, wall)
        if known is not None:
            return known
        return Question(KIND, self._subject, secret) if _name_and_password(secret) is not None else _MALFORMED

    def is_right(self, question: Question) -> Answer:
        """
        Answer a question.

        Safe to call in any thread, and slow.
        """
        read = _name_and_password(question.secret)
        if read is None:
            return _MALFORMED
        name, password = read
        hash_text = self._users.get(name)
        try:
            _hasher.verify(hash_text or self._nobody, password)
        except VerifyMismatchError:
            return _WRONG
        except (VerificationError, InvalidHashError) as error:  # such as no memory: nobody has said that it is wrong
            return Answer(Outcome.BUSY, reason=f"the password could not be hashed: {error}")
        if hash_text is None:
            return _WRONG
        return Answer(Outcome.PROVEN, Identity(KIND, name))

    def remember(self, question: Question, answer: Answer, now: float) -> None:
        """Remember an answer of `is_right` for a short time; call it in the thread that calls `look`."""
        if answer.outcome is Outcome.BUSY:
            return
        seconds = RIGHT_SECONDS if answer.outcome is Outcome.PROVEN else WRONG_SECONDS
        self._remembered.put(self._remembered.digest(question.secret), answer, now + seconds)


def _name_and_password(secret: bytes) -> tuple[str, bytes] | None:
    try:
        decoded = a2b_base64(secret, strict_mode=True)
        name, colon, password = decoded.partition(b":")
        if not colon or len(password) > MAX_PASSWORD or not name:
            return None
        return name.decode(), password
    except (NotBase64, UnicodeDecodeError):
        return None

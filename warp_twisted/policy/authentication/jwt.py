"""
A check of signed tokens: where they stand in a request, which keys verify them now, and what is remembered of them.

Pure. Keys come from a file or are fetched; until there are some, nothing can be decided.
"""

import re
from collections.abc import Callable

from warp_twisted.policy.authentication.key_sets import VerificationKeys
from warp_twisted.policy.authentication.remembered import RememberedAnswers
from warp_twisted.policy.authentication.tokens import Expected, TokenError, UnknownKeyError, read_token
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome

KIND = "jwt"
REFUSED_SECONDS = 10.0
CLAIMS_TOLD = ("email", "groups", "roles", "scope", "name", "preferred_username")  # to the origin, besides the subject
_find_authorization = re.compile(rb"(?i)\r\nauthorization:([^\r]*)").findall  # as `Facts.field` has it
_MALFORMED = Answer(Outcome.REFUSED, reason="more than one token")
_NO_KEYS = Answer(Outcome.BUSY, reason="there are no keys yet")


class JwtCheck:
    """
    Tokens of one issuer.

    :param header: in lower case, of the field that carries the token alone; None for `Authorization: Bearer`.
    :param cookie: name of the cookie that carries it, instead.
    :ivar renew_keys: called with the key that a token names if it is not known, or with an empty text if there are no
        keys; says whether the key may be one that is new, so that nobody can say yet what the token is worth. How often
        that leads to anything is its own business.
    """

    kind = KIND
    authorities: tuple[bytes, ...] = ()

    def __init__(
        self,
        expected: Expected,
        *,
        header: bytes | None = None,
        cookie: bytes | None = None,
    ) -> None:
        self.challenge = b"Bearer" if header is None and cookie is None else None
        self._cookie = cookie
        self._header = header
        self.carriers = (b"cookie=" + cookie if cookie is not None else header or b"authorization",)
        self._expected = expected
        self.renew_keys: Callable[[str], bool] = lambda key_id: False
        self._keys: VerificationKeys | None = None
        self._remembered = RememberedAnswers()

    def use(self, keys: VerificationKeys) -> None:
        """Verify with these keys from now on; what was proved by others is forgotten."""
        self._keys = keys
        self._remembered = RememberedAnswers()

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Look for a token and verify it."""
        if self.challenge is not None:  # a bearer's, which is mostly one, spelt as usual, and was verified before
            found = _find_authorization(b"\r\n" + facts.lines)
            if len(found) == 1 and found[0].startswith(b" Bearer "):
                known = self._remembered.find(found[0].strip(b" \t")[7:].strip(b" "), now, wall)
                if known is not None:
                    return known
        tokens = self._tokens(facts)
        if not tokens:
            return ABSENT
        if len(tokens) > 1:
            return _MALFORMED
        token = tokens[0]
        digest = self._remembered.digest(token)
        known = self._remembered.get(digest, now, wall)
        if known is not None:
            return known
        if self._keys is None:
            self.renew_keys("")
            return _NO_KEYS
        until, since_wall, until_wall = now + REFUSED_SECONDS, float("-inf"), float("inf")
        try:
            claims = read_token(token, self._keys, self._expected, wall)
        except UnknownKeyError as error:
            if self.renew_keys(error.key_id):  # who came by a key that is new is not to be blamed for it
                return Answer(Outcome.BUSY, reason=f"{error}, which is fetched as soon as it may be")
            return Answer(Outcome.REFUSED, reason=str(error))
        except TokenError as error:
            answer = Answer(Outcome.REFUSED, reason=str(error))
        else:
            told = {name: claims[name] for name in CLAIMS_TOLD if name in claims}
            answer = Answer(Outcome.PROVEN, Identity(KIND, str(claims.get("sub", "")), told))
            # As long as it says itself, by the calendar: a clock that is set back makes it too early again.
            leeway, until = self._expected.leeway, float("inf")
            since_wall = max(float(claims.get(name) or 0) for name in ("nbf", "iat")) - leeway
            until_wall = float(claims["exp"]) + leeway
        self._remembered.put(digest, answer, until, until_wall, since_wall)
        return answer

    def _tokens(self, facts: Facts) -> list[bytes]:
        if self._cookie is not None:
            return [
                value.strip(b" \t")
                for line in facts.field(b"cookie").all
                for name, equals, value in (pair.partition(b"=") for pair in line.split(b";"))
                if equals and name.strip(b" \t") == self._cookie
            ]
        values = facts.field(self.carriers[0])
        if self._header is not None:
            return list(values.all)
        if values.is_plain:  # one, spelt as usual
            value = values.all[0] if values.all else b""
            return [value[7:].strip(b" ")] if value[:7].lower() == b"bearer " else []
        bearers = [value[7:].strip(b" ") for value in values.all if value[:7].lower() == b"bearer "]
        return [*bearers, b""] if bearers else []

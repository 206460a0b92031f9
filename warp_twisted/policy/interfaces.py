"""
What a policy is assembled from: sets of addresses, limiters, and checks of credentials.

`Parts` makes them from the document while a policy is compiled; programs use them. Each kind is one file in a wing of
its own, and one line in the table of whoever implements `Parts`.
"""

from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import Source
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.sources.prefixes import Addresses


class Limiter(Protocol):
    """One limit with the counts of all its keys, in bounded memory."""

    def take(self, key: Hashable, price: float, now: float) -> float:
        """
        Take some units for a key.

        :param now: of a clock that only goes forward.
        :returns: 0.0 if they were granted; else the seconds after which they would be, and nothing was taken. Of what
            is concurrent the seconds are a guess.
        """

    def give_back(self, key: Hashable, price: float) -> None:
        """Give back what is concurrent; of a rate nothing happens."""


class Identity(msgspec.Struct, frozen=True):
    """
    Who somebody proved to be.

    :param kind: of the check: `basic`, `jwt`, `service_token`, `client_certificate`.
    :param subject: the user's name, the token's, the certificate's.
    :param claims: what else is told to the origin.
    """

    kind: str
    subject: str
    claims: Mapping[str, object] = {}


class Outcome(Enum):
    """What a check found."""

    PROVEN = "proven"
    ABSENT = "absent"  # there is no credential of this kind
    REFUSED = "refused"  # there is one, and it is not accepted
    BUSY = "busy"  # it cannot be checked at the moment: 503


class Answer(msgspec.Struct, frozen=True):
    """
    What a check says.

    :param reason: for logs: why a credential is not accepted; never the credential.
    """

    outcome: Outcome
    identity: Identity | None = None
    reason: str = ""


ABSENT = Answer(Outcome.ABSENT)


class Question(msgspec.Struct, frozen=True):
    """
    What a check cannot find out by itself, as it takes long or must wait.

    Equal questions have one answer. Whoever answers knows the kinds that there are.

    :param check: the kind of the check.
    :param subject: which of the policy's checks it is: unique in a policy.
    :param secret: the credential; it is not shown.
    """

    check: str
    subject: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Question({self.check!r}, {self.subject!r}, ...)"


class Check(Protocol):
    """
    One way to prove who one is.

    :ivar kind: as in `Identity.kind`.
    :ivar challenge: a value of WWW-Authenticate, or None where nobody could answer one.
    :ivar carriers: what carries its credentials: fields, in lower case, and cookies as `cookie=` and their name.
    :ivar authorities: DER of those of whose certificates visitors are asked for one in the handshake.
    """

    @property
    def kind(self) -> str: ...

    @property
    def challenge(self) -> bytes | None: ...

    @property
    def carriers(self) -> tuple[bytes, ...]: ...

    @property
    def authorities(self) -> tuple[bytes, ...]: ...

    def look(self, facts: Facts, now: float, wall: float) -> Answer | Question:
        """
        Look at a request.

        What it raises denies the request.

        :param now: of a clock that only goes forward.
        :param wall: seconds since the epoch.
        """


class Parts(Protocol):
    """
    Makes what a policy is assembled from.

    Each method raises `InvalidPolicy`, beginning with `where`, for what cannot be used: a file that is not there.

    :param where: the key's path, such as `rules[2].sources.allow`.
    """

    def source_set(self, entries: Sequence[Source], where: str) -> Addresses:
        """
        Make a set of addresses; it is asked once a connection, some microseconds each time.

        A set does not change: when a file does, the policy is compiled anew.
        """

    def limiter(self, limit: Limit, rule: str, where: str) -> Limiter:
        """
        Make a limiter.

        :param rule: with the limit's name it says which limiter of the policy before this one goes on counting.
        """

    def check(self, proof: Proof, where: str) -> Check: ...

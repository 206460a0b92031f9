"""
Challenges that other clients of ACME publish in our zone by DNS updates (RFC 2136), signed with a key of edge.yaml.

They are the same as those of the admin socket: at `_acme-challenge` names only, values of ACME's form, under a lease,
as a client may die before it removes them.
"""

from collections.abc import Collection, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_dns.message import names
from warp_dns.message.codes import REFUSED, SERVFAIL
from warp_dns.message.update import TextChange, UpdateRefused
from warp_twisted.edge.acme.challenges import Challenges
from warp_twisted.edge.errors import EdgeError
from warp_twisted.registry.acme.challenges import PREFIX, InvalidChallenge, dns_challenge

LEASE_SECONDS = 3600.0


class ChallengeUpdates:
    """
    The updates of one zone.

    :param keys: names of those with which updates may be signed.
    """

    _log = Logger()

    def __init__(self, challenges: Challenges, zone: str, keys: Collection[str]) -> None:
        self._challenges = challenges
        self._zone = zone
        self._apex = names.from_text(zone).lower()
        self._keys = {names.from_text(key).lower() for key in keys}

    def allows(self, apex: bytes, key: bytes) -> bool:
        """Whether who has signed with a key may change a zone."""
        return apex == self._apex and key in self._keys

    def apply(self, changes: Sequence[TextChange]) -> None:
        """
        Make all changes, or none.

        :raises UpdateRefused: if one is about something else than a challenge, or there is no room.
        """
        try:
            wanted = [
                (change, dns_challenge(change.name, change.value.decode("ascii"), self._zone))
                if change.value is not None and change.is_added
                else (change, None)
                for change in changes
            ]
        except (InvalidChallenge, UnicodeError) as error:
            raise UpdateRefused(REFUSED) from error
        if not all(change.name.startswith(PREFIX) for change in changes):
            raise UpdateRefused(REFUSED)
        try:
            self._challenges.check_room([challenge for _, challenge in wanted if challenge is not None])
        except EdgeError as error:
            raise UpdateRefused(SERVFAIL) from error
        for change, challenge in wanted:
            if challenge is not None:
                self._begin(Deferred.fromCoroutine(self._challenges.add(challenge, LEASE_SECONDS)))
            elif change.value is None:
                self._begin(Deferred.fromCoroutine(self._challenges.remove_name(change.name)))
            else:
                self._remove(change.name, change.value)

    def _remove(self, name: str, value: bytes) -> None:
        """Remove one value; RFC 2136 §3.4.2.4: one that is not there is no error."""
        try:
            challenge = dns_challenge(name, value.decode("ascii"), self._zone)
        except (InvalidChallenge, UnicodeError):
            return
        self._begin(Deferred.fromCoroutine(self._challenges.remove(challenge)))

    def _begin(self, work: Deferred[object] | Deferred[bool] | Deferred[None]) -> None:
        work.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("a DNS update could not be published", failure=failure)

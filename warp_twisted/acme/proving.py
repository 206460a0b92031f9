"""
Proving that an order's names are ours: publish each challenge, await that it is visible, and let the authority look.

Whatever happens, what was published is withdrawn; if the process is killed, the leases end by themselves.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.logger import Logger

from warp_twisted.acme.authority import NameState, Proof
from warp_twisted.acme.door import Challenge, DnsChallenge, Door, HttpChallenge, NameServer, View
from warp_twisted.acme.errors import AuthorityFailed, CannotOrder, DoorRefused, NotYet

LEASE_SECONDS = 300.0
LOOK_SECONDS = 180.0  # for the authority to look at all names of an order
POLL_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)  # between looks at what it says; the last stays
MAX_POLL_SECONDS = 15.0  # whatever Retry-After says


class Names(Protocol):
    """What is asked of the authority; see `authority.Authority`."""

    def name_state(self, url: str) -> NameState:
        """Return what the authority says of a name."""

    def look(self, proof: Proof) -> None:
        """Tell the authority that it may look."""


class Proving:
    """
    Proves names with the help of the edge.

    :param await_visible: as `visible.await_visible`.
    :param pause: waits for so many seconds.
    """

    _log = Logger()

    def __init__(
        self,
        door: Door,
        await_visible: Callable[[Sequence[DnsChallenge], Sequence[NameServer], Callable[[float], None]], None],
        pause: Callable[[float], None],
    ) -> None:
        self._door = door
        self._await_visible = await_visible
        self._pause = pause

    def prove(self, authority: Names, view: View, urls: Sequence[str], keep_lock: Callable[[], None]) -> None:
        """
        Prove the names of an order.

        :param urls: of its authorizations.
        :param keep_lock: called before each step that may take a while; raises if another edge orders now.
        :raises AuthorityFailed: if the authority has looked and is not convinced.
        :raises CannotOrder: if it offers no proof that we can give.
        :raises NotYet: if it takes too long.
        """
        states = {url: authority.name_state(url) for url in urls}
        pending = {url: proof_for(state, view.zone) for url, state in states.items() if state.status == "pending"}
        for state in states.values():
            _check(state)
        challenges = [challenge_for(proof) for proof in pending.values()]
        try:
            for challenge in challenges:
                self._door.publish(challenge)
            if dns := [each for each in challenges if isinstance(each, DnsChallenge)]:
                keep_lock()
                self._await_visible(dns, view.nameservers, self._pause)
            for proof in pending.values():
                if proof.is_open:
                    authority.look(proof)
            self._await_validated(authority, list(pending), challenges, keep_lock)
        finally:
            self._withdraw(challenges)

    def _await_validated(
        self, authority: Names, urls: list[str], challenges: Sequence[Challenge], keep_lock: Callable[[], None]
    ) -> None:
        began_at = published_at = time.monotonic()
        number = 0
        while urls:
            keep_lock()
            state = authority.name_state(urls[0])
            _check(state)
            if state.status == "valid":
                urls.pop(0)
                continue
            if time.monotonic() - began_at > LOOK_SECONDS:
                raise NotYet(f"the authority has not looked at {state.name} within {LOOK_SECONDS:g} s")
            if time.monotonic() - published_at > LEASE_SECONDS / 3:
                published_at = time.monotonic()
                for challenge in challenges:
                    self._door.publish(challenge)
            self._pause(poll_seconds(number, state.retry_seconds))
            number += 1

    def _withdraw(self, challenges: Sequence[Challenge]) -> None:
        for challenge in challenges:
            try:
                self._door.withdraw(challenge)
            except DoorRefused as error:
                self._log.info("a challenge is not withdrawn, and ends with its lease: {error}", error=str(error))


def poll_seconds(number: int, retry_seconds: float) -> float:
    """
    Return how long to wait before the authority is asked again.

    :param number: how often it was asked, 0 for once.
    """
    return min(max(POLL_SECONDS[min(number, len(POLL_SECONDS) - 1)], retry_seconds), MAX_POLL_SECONDS)


def _check(state: NameState) -> None:
    """
    :raises AuthorityFailed: if a name cannot become valid any more.
    """
    if state.status not in ("pending", "valid"):
        raise state.error or AuthorityFailed(
            f"the authority says that {state.name} is {state.status}", identifiers=frozenset({state.name})
        )


def proof_for(state: NameState, zone: str) -> Proof:
    """
    Return the proof that we give for a name: by DNS for one of the zone, else by HTTP.

    :raises CannotOrder: if the authority does not offer it.
    """
    kind = "dns-01" if state.name == zone or state.name.endswith(f".{zone}") else "http-01"
    found = next((proof for proof in state.proofs if proof.kind == kind), None)
    if found is None:
        where = "which is in the zone" if kind == "dns-01" else "which is not in the zone"
        raise CannotOrder(f"the authority offers no {kind} for {state.name}, {where}")
    return found


def challenge_for(proof: Proof) -> Challenge:
    """Return what the edge is to publish."""
    if proof.kind == "dns-01":
        return DnsChallenge(name=f"_acme-challenge.{proof.name}", value=proof.value, lease_seconds=LEASE_SECONDS)
    return HttpChallenge(
        hostname=proof.name, token=proof.token, key_authorization=proof.value, lease_seconds=LEASE_SECONDS
    )

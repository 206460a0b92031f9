"""
The identity that the agent uses now: for dialing, for renewing, and kept in its state directory.

It knows when the certificate should be renewed, not who is asked to. Files are written in a thread, one after the
other, as a disk may take long; however often edges change, at most one change of them waits for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from ssl import SSLContext
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock, execute, succeed

from warp_base.reactor import InThread
from warp_twisted.agent.identity.state import Identity, StateDirectory, with_edges
from warp_twisted.ca.issue import new_request
from warp_twisted.ca.returning import sign_return
from warp_twisted.tunnel import agent_context

Result = TypeVar("Result")


class Credentials:
    """
    An identity and its TLS context.

    :param in_thread: runs what writes to the disk; by default it is run at once.
    :ivar identity: who the agent is.
    :ivar context: to dial tunnels with; replaced when the certificate is renewed.
    :raises InvalidSettings: if certificate and key cannot be used.
    """

    def __init__(self, state: StateDirectory, identity: Identity, in_thread: InThread = execute) -> None:
        self._state = state
        self._in_thread = in_thread
        self._disk = DeferredLock()
        self._has_edges_to_store = False
        self.identity = identity
        self.context = self._make_context(identity)
        self._is_due = False

    @property
    def lifetime_seconds(self) -> float:
        """How long the certificate is valid, from its beginning to its end."""
        return self.identity.valid_until - self.identity.valid_from

    def is_valid_at(self, now: float) -> bool:
        """Whether an edge whose clock shows a time will accept the certificate."""
        return self.identity.valid_from <= now < self.identity.valid_until

    def should_renew(self, now: float) -> bool:
        """Whether half of the certificate's life is over, or the roots were changed since it was issued."""
        return self._is_due or now >= self.identity.renew_at

    def request(self) -> str:
        """Return a certificate request for our key, as PEM."""
        return new_request(self._state.request_key())

    def sign_return(self, nonce: str) -> str:
        """Prove to an edge that we hold the key of our certificate, which may have ended."""
        return sign_return(self._state.request_key(), nonce, self.identity.chain_pem)

    def renew(self, chain_pem: str) -> Deferred[None]:
        """
        Store a new certificate, and then use it for dials to come.

        :returns: fails with `BadCertificate` if it is not for our key, or not for us, and with `StateBroken` if it
            cannot be stored.
        """
        renewing: Deferred[None] = self._disk.run(lambda: Deferred.fromCoroutine(self._renew(chain_pem)))
        return renewing

    async def _renew(self, chain_pem: str) -> None:
        before = self.identity
        renewed = await self._in_thread(lambda: self._state.renew(before, chain_pem))
        # What was learned while it was written holds.
        self.identity = replace(renewed, root_pem=self.identity.root_pem, seen_edges=self.identity.seen_edges)
        self.context = self._make_context(self.identity)
        self._is_due = False

    def reread_roots(self) -> bool:
        """
        Trust the roots that are in the state directory now, for dials to come.

        Other roots mean that the CA changes, so a new certificate is due at once: the edges issue it under theirs.

        :returns: whether they are others than before.
        :raises StateBroken: if they cannot be read; then nothing changes.
        :raises InvalidSettings: if they cannot be used; nothing changes either.
        """
        root_pem = self._state.read_roots()
        if root_pem == self.identity.root_pem:
            return False
        identity = replace(self.identity, root_pem=root_pem)
        self.context = self._make_context(identity)
        self.identity = identity
        self._is_due = True
        return True

    def remember_edges(self, edges: Sequence[str]) -> Deferred[None]:
        """
        Keep where edges are, for the next start.

        :returns: fails with `StateBroken` if that cannot be stored; they are known until the agent ends all the same.
        """
        known = with_edges(self.identity, edges)
        if known == self.identity:
            return succeed(None)
        self.identity = known
        if self._has_edges_to_store:
            return succeed(None)
        self._has_edges_to_store = True
        storing: Deferred[None] = self._disk.run(self._store_edges)
        return storing

    def _store_edges(self) -> Deferred[None]:
        self._has_edges_to_store = False
        identity = self.identity
        return self._in_thread(lambda: self._state.store_edges(identity))

    def close(self) -> Deferred[None]:
        """Let another process use the state directory, when what is being written is."""
        closing: Deferred[None] = self._disk.run(self._state.close)
        return closing

    def _make_context(self, identity: Identity) -> SSLContext:
        return agent_context(
            root_pem=identity.root_pem, chain_file=self._state.chain_file, key_file=self._state.key_file
        )

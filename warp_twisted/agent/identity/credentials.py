"""
The identity that the agent uses now: for dialing, for renewing, and kept in its state directory.

It knows when the certificate should be renewed, not who is asked to.
"""

from collections.abc import Sequence
from dataclasses import replace
from ssl import SSLContext

from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.ca.issue import new_request
from warp_twisted.tunnel import agent_context


class Credentials:
    """
    An identity and its TLS context.

    :ivar identity: who the agent is.
    :ivar context: to dial tunnels with; replaced when the certificate is renewed.
    :raises InvalidSettings: if certificate and key cannot be used.
    """

    def __init__(self, state: StateDirectory, identity: Identity) -> None:
        self._state = state
        self.identity = identity
        self.context = self._make_context(identity)
        self._is_due = False

    def has_expired(self, now: float) -> bool:
        """Whether no edge will accept the certificate any more."""
        return now >= self.identity.valid_until

    def should_renew(self, now: float) -> bool:
        """Whether half of the certificate's life is over, or the roots were changed since it was issued."""
        return self._is_due or now >= self.identity.renew_at

    def request(self) -> str:
        """Return a certificate request for our key, as PEM."""
        return new_request(self._state.request_key())

    def renew(self, chain_pem: str) -> None:
        """
        Use a new certificate from now on, for dials to come.

        :raises BadCertificate: if it is not for our key, or not for us.
        :raises StateBroken: if it cannot be stored.
        """
        self.identity = self._state.renew(self.identity, chain_pem)
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

    def remember_edges(self, edges: Sequence[str]) -> None:
        """
        Keep where edges are, for the next start.

        :raises StateBroken: if that cannot be stored.
        """
        self.identity = self._state.remember_edges(self.identity, edges)

    def close(self) -> None:
        """Let another process use the state directory."""
        self._state.close()

    def _make_context(self, identity: Identity) -> SSLContext:
        return agent_context(
            root_pem=identity.root_pem, chain_file=self._state.chain_file, key_file=self._state.key_file
        )

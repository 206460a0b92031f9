"""What the follower and the store expect of whoever asks etcd; `client.EtcdClient` does it over HTTP."""

from collections.abc import Callable
from typing import Protocol

from warp_twisted.registry.etcd.messages import Heard


class RunningWatch(Protocol):
    """A watch that was begun."""

    def cancel(self) -> None:
        """Hear nothing more."""


class Etcd(Protocol):
    """All members of one etcd, of which one is asked."""

    @property
    def endpoint(self) -> str:
        """The member that is asked, for messages."""

    async def call(self, path: str, body: bytes) -> bytes:
        """
        Make one call.

        :raises StoreBroken: if there is no answer, or it is an error. What was asked for may have been done.
        """

    async def watch(self, body: bytes, heard: Callable[[Heard], object]) -> RunningWatch:
        """
        Begin a watch.

        :param heard: told each message, not before the watch was returned; the last has `ended`.
        :raises StoreBroken: if it cannot be begun.
        """

    def leave(self, url: str) -> None:
        """Ask another member than this one from now on."""

    async def close(self) -> None:
        """Let go of the connections."""

"""
Making the directory of the state and the store that edge.yaml asks for.

Nothing is opened yet but an embedded registry's file.

A name of an etcd member is looked up for each connection, so that a member that moved is found.
"""

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from warp_base.reactor import Reactor
from warp_twisted.edge.stores.settings import RegistrySettings
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.etcd.client import EtcdClient
from warp_twisted.registry.etcd.copy import EtcdCopy
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.store import EtcdStore
from warp_twisted.registry.etcd.trust import RegistryTrust
from warp_twisted.registry.model import REVOCATIONS
from warp_twisted.registry.sqlite import ThreadedSqliteStore
from warp_twisted.registry.store import LastingStore


def make_directory(name: str) -> Path:
    """
    Make the directory of an edge's state, if there is none.

    :raises InvalidSettings: if it cannot be made.
    """
    directory = Path(name)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"state: {name}: {error.strerror}") from error
    return directory


def make_store(
    reactor: Reactor,
    settings: RegistrySettings | None,
    trust: RegistryTrust | None,
    state: Path,
    edge: str,
    *,
    is_follower: bool,
) -> LastingStore:
    """
    Make an edge's store.

    :param settings: None: a file in `state`.
    :param trust: with which etcd is asked; None: without TLS.
    :param edge: this edge's name.
    :param is_follower: whether another process of this edge has the state directory still.
    :raises RegistryError: if the file is another process', or cannot be read.
    """
    if settings is None:
        return ThreadedSqliteStore(state, reactor, is_follower=is_follower)

    def perform(function: Callable[[], None]) -> Deferred[None]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function)

    client = EtcdClient(reactor, Endpoints(settings.etcd.endpoints), trust)
    return EtcdStore(client, reactor, edge, EtcdCopy(state, reactor, perform), (REVOCATIONS,))

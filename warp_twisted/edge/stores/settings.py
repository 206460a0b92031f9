"""The section `registry` of edge.yaml as values."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

MAX_ENDPOINTS = 16

Text = Annotated[str, msgspec.Meta(min_length=1)]


class EtcdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    An etcd that the edges of a fleet share.

    :ivar endpoints: URLs of its members, in the order in which they are asked.
    :ivar ca: the authority of its members, and of the edges' certificates for it; not the fleet's root.
    :ivar certificate: of this edge, for etcd; `key` is its key.
    """

    endpoints: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=MAX_ENDPOINTS)]
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None

    def __post_init__(self) -> None:
        files = {name: getattr(self, name) for name in ("ca", "certificate", "key")}
        has_files = any(each is not None for each in files.values())
        for index, url in enumerate(self.endpoints):
            scheme = _scheme(index, url)
            if scheme == "http" and (has_files or not _is_loopback(url)):
                raise ValueError(
                    f"endpoints[{index}]: expected https://HOST:PORT, got {url!r}; without TLS only on loopback, and"
                    " without ca, certificate and key"
                )
            if scheme == "https":
                for name, value in files.items():
                    if value is None:
                        raise ValueError(f"{name}: required for an https endpoint, as `warp ca registry` makes it")
        if len(set(self.endpoints)) < len(self.endpoints):
            raise ValueError("endpoints: one of them stands there twice")


class RegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the registry is, if not in `state`."""

    etcd: EtcdSettings


def _scheme(index: int, url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port is not None
            and url == f"{parts.scheme}://{parts.netloc}"
            and "@" not in parts.netloc
        )
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"endpoints[{index}]: expected https://HOST:PORT, got {url!r}")
    return parts.scheme


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

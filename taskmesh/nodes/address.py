"""Where a node is, and how a connection to it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from taskmesh.errors import ConfigError

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

#: Stands for the data node where it is an acceptor.
DATA_NODE = "data-node"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", ""})


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node as the user names it.

    Attributes:
        url: `redis://host:port/db`, `rediss://...` or `unix:///path?db=0`.
        embedded: Name of the mesh whose embedded node this is; empty for any other node.
    """

    url: str
    embedded: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that the account's own key may be used."""
        parts = urlsplit(self.url)
        return parts.scheme == "unix" or (parts.hostname or "") in LOOPBACK

    def __str__(self) -> str:
        """The address without a password."""
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        return (
            f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path if parts.path != '/' else ''}"
        )


def connection_factory(
    address: NodeAddress, *, connect_timeout_s: float, answer_timeout_s: float, name: str
) -> Callable[[], AbstractConnection]:
    """Return what makes unconnected connections to the node.

    The library's own retries are off: a time-out does not mean "not executed", so only the protocols
    may decide to ask again.

    Raises:
        ConfigError: The URL cannot be understood.
    """
    from redis.backoff import NoBackoff
    from redis.connection import Connection, UnixDomainSocketConnection, parse_url
    from redis.retry import Retry

    try:
        options: dict[str, Any] = parse_url(address.url)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"node {address}: {error}") from error
    cls = options.pop("connection_class", None)
    if cls is None:
        cls = UnixDomainSocketConnection if "path" in options else Connection
    options.update(
        socket_timeout=answer_timeout_s,
        socket_connect_timeout=connect_timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name=name,
        **_unintroduced(),
    )
    if "path" in options:
        options.pop("host", None)
        options.pop("port", None)
    else:
        options["socket_keepalive"] = True

    def make() -> AbstractConnection:
        connection: AbstractConnection = cls(**options)
        return connection

    return make


def _unintroduced() -> dict[str, Any]:
    """Return the options by which a connection does not tell the node its library: two commands less."""
    from importlib.util import find_spec

    if find_spec("redis.driver_info"):
        return {"driver_info": None}  # it warns of the older options
    return {"lib_name": None, "lib_version": None}

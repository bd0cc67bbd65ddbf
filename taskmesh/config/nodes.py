"""The addresses of nodes and acceptors: what this version takes, and what it refuses by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskmesh.config.urls import split_url
from taskmesh.config.values import names
from taskmesh.core.redact import address_shown

SCHEMES = ("redis", "rediss", "unix")
#: How many acceptors there may be.
ACCEPTORS = (1, 3, 5)
#: How many there are unless somebody says so, or there are fewer nodes.
COPIES_UNLESS_SAID = 3


def node_urls(value: Any) -> tuple[str, ...]:
    """Read the list of nodes: none for embedded ones, else servers that are all different."""
    urls = names(value)
    for url in urls:
        _check(url)
    _differ(urls, "two nodes on one server are lost together")
    return urls


def acceptor_urls(value: Any) -> tuple[str, ...]:
    """Read the list of acceptors: none for the nodes themselves, else one, three or five servers."""
    urls = names(value)
    for url in urls:
        _check(url)
    _differ(urls, "two acceptors on one server fall together")
    if len(urls) not in (0, *ACCEPTORS):
        raise ValueError(
            f"{len(urls)} are given; name 1, 3 or 5: an even number survives no more than one less would"
        )
    return urls


def own_acceptors(nodes: Sequence[str]) -> tuple[str, ...]:
    """Return which nodes of a mesh are its acceptors, where none are named.

    Args:
        nodes: Their addresses, in the order in which the user gave them.

    Returns:
        The first five, three or one: an even number survives no more than one less would. None for one node, which
        is its own acceptor.
    """
    count = max((each for each in ACCEPTORS if each <= len(nodes)), default=1)
    return tuple(nodes[:count]) if len(nodes) > 1 else ()


def copies(replicas: int | None, nodes: int) -> int:
    """Return of how many nodes each message has a record.

    Args:
        replicas: What the settings say; None for as many as there are nodes, three at most.
        nodes: How many the mesh has.

    Raises:
        ValueError: It has fewer than that.
    """
    if replicas is None:
        return min(COPIES_UNLESS_SAID, nodes)
    if replicas > nodes:
        raise ValueError(
            f"{replicas} copies of each message need as many nodes, and there "
            f"{'is one' if nodes == 1 else f'are {nodes}'}; give more nodes, or lower replicas"
        )
    return replicas


def _differ(urls: Sequence[str], why: str) -> None:
    servers = [_server_of(url) for url in urls]
    twice = next((url for at, url in enumerate(urls) if servers[at] in servers[:at]), None)
    if twice is not None:
        raise ValueError(f"{address_shown(twice)} is on a server that is named before; {why}")


def _server_of(url: str) -> tuple[str, int]:
    """Return what two addresses of one server have in common."""
    parts = split_url(url)
    return (parts.path, 0) if parts.scheme == "unix" else (parts.hostname or "", parts.port or 6379)


def _check(url: str) -> None:
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if "sentinel" in scheme:
        raise ValueError("Redis Sentinel is not supported; give the node itself, redis://host:port")
    if "cluster" in scheme:
        raise ValueError("Redis Cluster is not supported; give a plain server, redis://host:port")
    if scheme not in SCHEMES:
        tail = url.partition("://")[2] or url
        meant = (
            f"; is redis://{address_shown(tail)} meant?" if scheme in ("", "valkey", "tcp") and tail else ""
        )
        raise ValueError(f"expected redis://host:port, rediss://host:port or unix:///path{meant}")
    parts = split_url(url)
    if "cluster=true" in parts.query.lower():
        raise ValueError("Redis Cluster is not supported; give a plain server, redis://host:port")
    if scheme == "unix":
        if parts.hostname or not parts.path.startswith("/"):
            raise ValueError("expected the absolute path of a socket, unix:///path")
    elif not parts.hostname:
        raise ValueError(f"expected a host, {scheme}://host:port")
    else:
        _check_host(parts.hostname)


def _check_host(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("that is no name of a host: a part of it is empty, or longer than 63") from None

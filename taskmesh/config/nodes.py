"""The addresses of nodes: what this version takes, what it refuses by name, and how one is shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

from taskmesh.config.values import names

SCHEMES = ("redis", "rediss", "unix")


def node_urls(value: Any) -> tuple[str, ...]:
    """Read the list of nodes: none for the embedded node, else exactly one."""
    urls = names(value)
    for url in urls:
        _check(url)
    if len(urls) > 1:
        raise ValueError("this version runs on one node; give exactly one")
    return urls


def _check(url: str) -> None:
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if "sentinel" in scheme:
        raise ValueError("Redis Sentinel is not supported; give the node itself, redis://host:port")
    if "cluster" in scheme:
        raise ValueError("Redis Cluster is not supported; give a plain server, redis://host:port")
    if scheme not in SCHEMES:
        tail = url.partition("://")[2] or url
        meant = f"; is redis://{shown(tail)} meant?" if scheme in ("", "valkey", "tcp") and tail else ""
        raise ValueError(f"expected redis://host:port, rediss://host:port or unix:///path{meant}")
    parts = _split(url)
    if "cluster=true" in parts.query.lower():
        raise ValueError("Redis Cluster is not supported; give a plain server, redis://host:port")
    if scheme == "unix":
        if parts.hostname or not parts.path.startswith("/"):
            raise ValueError("expected the absolute path of a socket, unix:///path")
    elif not parts.hostname:
        raise ValueError(f"expected a host, {scheme}://host:port")


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        # Its own text quotes what it took for a port: part of a password that has a '/' in it.
        raise ValueError(
            "the port is wrong: expected 0 to 65535 (in a password, write / ? # as %2F %3F %23)"
        ) from None
    return parts


def shown(url: str) -> str:
    """Return the address without its password, fit for a screen or a log."""
    before, at, host = url.rpartition("@")
    if at:
        scheme, separator, login = before.rpartition("://")
        user, colon, _ = login.partition(":")
        url = f"{scheme}{separator}{user}{':***' if colon else ''}@{host}"
    head, mark, query = url.partition("?")
    if not mark:
        return url
    fields = [
        f"{name}{equals}{'***' if 'password' in name.lower() else value}"
        for name, equals, value in (field.partition("=") for field in query.split("&"))
    ]
    return head + mark + "&".join(fields)

"""The address of a broker: what is taken, what is refused by name and why, and how one is shown."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, parse_qsl

from taskmesh.config.urls import split_url
from taskmesh.core.redact import address_shown

#: The nodes themselves: what counts when nobody names a broker.
MESH = "mesh"
#: Packages add brokers by this group of entry points; the name of each is a scheme.
GROUP = "taskmesh.brokers"
#: Schemes that lead to RabbitMQ and its like.
AMQP = frozenset({"amqp", "amqps", "pyamqp"})
#: Schemes for which kombu has a transport that can carry tickets.
KOMBU = AMQP | {
    "memory", "sqs", "gcpubsub", "azureservicebus", "azurestoragequeues", "confluentkafka", "kafka",
    "mongodb", "consul", "etcd", "zookeeper", "qpid", "pyro", "slmq",
}  # fmt: skip
#: A broker within one process, for tests.
MEMORY = "memory"
#: What may stand after the `?` of an address of RabbitMQ; its client passes over any other in silence.
_AMQP_OPTIONS = (
    "heartbeat", "connect_timeout", "login_method", "frame_max", "channel_max", "read_timeout", "write_timeout",
    "confirm_publish", "locale", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_ciphers",
    "ssl_server_hostname", "ssl_version",
)  # fmt: skip
_OWN_NODES = (
    "messages are kept on nodes anyway, which wake workers faster than tickets could: "
    "give nodes=['redis://host:port'], and no broker"
)
#: Transports of kombu that are refused, and what to do instead.
_REFUSED = {
    "redis": _OWN_NODES, "rediss": _OWN_NODES, "valkey": _OWN_NODES, "valkeys": _OWN_NODES, "sentinel": _OWN_NODES,
    "redis+socket": _OWN_NODES, "unix": _OWN_NODES, "socket": _OWN_NODES,
    "sqla": "a database that is polled is slower than the nodes: give no broker",
    "pgmq": "a database that is polled is slower than the nodes: give no broker",
    "sqlalchemy": "a database that is polled is slower than the nodes: give no broker",
    "filesystem": "files that are polled are slower than the nodes: give no broker",
    "librabbitmq": "librabbitmq is not kept up any more: give amqp://user:password@host:5672/vhost",
}  # fmt: skip
# Several addresses of one cluster stand in a row; a password with a ';' in it must not be torn apart.
_BETWEEN = re.compile(r"[;,]\s*(?=[A-Za-z][A-Za-z0-9+.\-]*://)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\?.*)?", re.DOTALL)


def broker_address(value: Any) -> str | None:
    """Read the address of a broker: None for the nodes themselves.

    Several addresses of one cluster are given as a list, or with `;` between them: the first that answers serves.

    Raises:
        ValueError: It is none, or one of a kind that is refused.
    """
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, str) for each in value):
        value = ";".join(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected an address such as amqp://user:password@host:5672/vhost, as text")
    text = value.strip()
    if text.lower() == MESH:
        return None
    parts = addresses_of(text)
    schemes = {_checked(part) for part in parts}
    if len(schemes) > 1:
        raise ValueError(
            "these are addresses of different kinds; name servers of one cluster, or one of them"
        )
    return ";".join(parts)


def addresses_of(address: str) -> list[str]:
    """Return the single addresses of a broker."""
    return [part.strip() for part in _BETWEEN.split(address)]


def scheme_of(address: str) -> str:
    """Return the scheme of an address, in lower case; empty for `module:attribute`."""
    before, separator, _ = address.partition("://")
    # a query of `module:attribute` may hold addresses
    return before.lower() if separator and "?" not in before else ""


def broker_shown(address: str) -> str:
    """Return an address fit for a screen or a log: without passwords, tokens and keys."""
    return ";".join(address_shown(part) for part in addresses_of(address))


def _checked(address: str) -> str:
    scheme = scheme_of(address)
    if not _SCHEME.fullmatch(scheme):
        if _PATH.fullmatch(address):
            return scheme
        raise ValueError(
            "expected an address such as amqp://user:password@host:5672/vhost, or module:attribute of a broker"
        )
    reason = _REFUSED.get(scheme) or _REFUSED.get(scheme.partition("+")[0])
    if reason is not None:
        raise ValueError(f"{scheme}:// is refused as a broker: {reason}")
    if scheme in AMQP:
        _check_amqp(split_url(address), scheme)
    elif scheme not in KOMBU and scheme not in _added():
        meant = "; is amqp:// meant?" if scheme in ("rabbitmq", "rabbit", "http", "https", "tcp") else ""
        raise ValueError(f"there is no broker for {scheme}://, of kombu's or of an installed package{meant}")
    return scheme


def _check_amqp(parts: SplitResult, scheme: str) -> None:
    if not parts.hostname:
        raise ValueError(f"expected a host, {scheme}://user:password@host:port/vhost")
    if "/" in parts.path[1:] and parts.path != "//":
        raise ValueError(
            "the virtual host has a '/' in it: write that as %2F (and amqp://host// for the one named '/')"
        )
    _check_options(parts.query)


def _check_options(query: str) -> None:
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name in _AMQP_OPTIONS:
            continue
        # where a password has a '?' in it, what follows is no name
        is_name = name.isidentifier() and f"{name}=" in query and "@" not in query
        near = get_close_matches(name, _AMQP_OPTIONS, n=1) if is_name else []
        raise ValueError(
            f"{f'the option {name}' if is_name else 'what stands'} after the ? is unknown; "
            + (f"is {near[0]} meant?" if near else f"options are {', '.join(_AMQP_OPTIONS)}")
        )


def _added() -> frozenset[str]:
    """Return the schemes that installed packages add; nothing of them is loaded."""
    from importlib.metadata import entry_points  # reads a file per installed package

    return frozenset(found.name for found in entry_points(group=GROUP))

"""What the address of a broker says, in the words of kombu's connections; options follow a question mark."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from taskmesh.config.brokers import AMQP, broker_shown, scheme_of
from taskmesh.errors import BrokerRefused

#: How often a broker and its clients tell each other that they live, at least twice in that time.
HEARTBEAT_S = 30.0
CONNECT_TIMEOUT_S = 4.0
#: Transports that read the whole address themselves.
_READ_THEIR_OWN = frozenset({"azureservicebus", "azurestoragequeues", "gcpubsub", "mongodb"})
_VERIFY = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


@dataclass(frozen=True, slots=True)
class Where:
    """One server.

    Attributes:
        shown: The address without its password.
        scheme: In lower case.
        user: In whose name.
        vhost: Which virtual host.
        arguments: Of kombu's connection.
    """

    shown: str
    scheme: str
    user: str
    vhost: str
    arguments: dict[str, Any]


def where(address: str) -> Where:
    """Return what an address says.

    Args:
        address: One, as the setting took it.

    Raises:
        BrokerRefused: An option cannot be what it says.
    """
    try:
        return _where(address, scheme_of(address))
    except (KeyError, ValueError) as error:
        shown = broker_shown(address)
        raise BrokerRefused(
            f"broker {shown}: an option after the ? is wrong ({error}); heartbeat and connect_timeout are seconds, "
            f"ssl_cert_reqs is one of {', '.join(_VERIFY)}",
            broker=shown,
        ) from error


def _where(address: str, scheme: str) -> Where:
    address = f"{scheme}{address[len(scheme) :]}"  # kombu knows most schemes in lower case alone
    url, _, query = address.partition("?")
    options = {name: _value(text) for name, text in parse_qsl(query, keep_blank_values=True)}
    parts = urlsplit(url)
    arguments: dict[str, Any] = {
        "hostname": address if scheme in _READ_THEIR_OWN else url,
        "connect_timeout": float(options.pop("connect_timeout", CONNECT_TIMEOUT_S)),
    }
    if scheme in AMQP:
        arguments["heartbeat"] = float(options.pop("heartbeat", HEARTBEAT_S))
        arguments["login_method"] = options.pop("login_method", None)
        secure = {name: options.pop(name) for name in [*options] if name.startswith("ssl_")}
        if scheme == "amqps" or secure:
            arguments["ssl"] = _secure(secure, parts.hostname or "")
    arguments["transport_options"] = options
    return Where(
        broker_shown(address),
        scheme,
        unquote(parts.username or "guest"),
        unquote(parts.path[1:]) or "/",
        arguments,
    )


def _secure(options: dict[str, Any], host: str) -> dict[str, Any]:
    """Return the options of TLS: a certificate is looked at unless somebody says that it is not to be."""
    given = {name.removeprefix("ssl_"): value for name, value in options.items()}
    verify = _VERIFY[str(given.pop("cert_reqs", "required")).lower().removeprefix("cert_")]
    return {"server_hostname": host, "cert_reqs": verify, **given}


def _value(text: str) -> Any:
    """Return what a text of a query means: a number, a truth, or itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text

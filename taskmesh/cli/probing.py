"""Asking a process for its probes, with nothing imported that takes long: containers do it every few seconds."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

LIVE, READY = "/livez", "/readyz"
#: As in `metrics/pages.py`, which imports much.
REMARK = "remark: "
#: How long an answer may take.
TIMEOUT_S = 5.0
_BYTES_MAX = 1 << 20
#: As `EXIT_USAGE` of `failure.py`, which imports much.
EXIT_USAGE = 2
#: Where a process listens on all addresses, it is asked on this host's own.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


class CannotAsk(Exception):
    """It is not known whom to ask, or he does not answer."""


class NobodyNamed(CannotAsk):
    """It is not known whom to ask: what was given or set does not say it."""


class Told(NamedTuple):
    """What a process told of itself."""

    status: int
    text: str


def url_for(probes: str | None, path: str) -> str:
    """Return where to ask a process of this host.

    Args:
        probes: What the setting `probes` says, as it was read.
        path: Of the probe.

    Raises:
        NobodyNamed: It says nothing, or leaves the port to chance.
    """
    if not probes:
        raise NobodyNamed("where are the probes? Set TASKMESH_PROBES as the worker has it, or give --url")
    host, _, port = probes.rpartition(":")
    if port == "0":
        raise NobodyNamed(
            "the worker takes any port that is free (probes = 0): give --url; its log names the port"
        )
    host = _EVERYWHERE.get(host.strip("[]"), host.strip("[]"))
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def ask(url: str, timeout_s: float = TIMEOUT_S) -> Told:
    """Return what a process tells.

    Args:
        url: `http://host:port/path`.
        timeout_s: How long it may take; more than 0.

    Raises:
        NobodyNamed: The URL is none.
        CannotAsk: There is no answer.
    """
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    host, colon, port = place.rpartition(":")
    if scheme != "http" or not colon or not port.isdigit():
        raise NobodyNamed(f"{url} is no address of a probe: expected http://HOST:PORT{READY}")
    until_s = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as connection:
            connection.sendall(f"GET {slash or '/'}{path} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
            answer = b""
            while len(answer) < _BYTES_MAX:
                connection.settimeout(max(0.01, until_s - time.monotonic()))
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
    except OSError as error:
        why = (
            f"no answer within {timeout_s:g} s"
            if isinstance(error, TimeoutError)
            else error.strerror or error
        )
        raise CannotAsk(f"{url}: {why}") from error
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise CannotAsk(f"{url}: what answers speaks no HTTP")
    return Told(int(words[1]), body.decode(errors="replace").strip())


def quickly(words: list[str], environ: Mapping[str, str]) -> int | None:
    """Answer the command line of a usual health check, and return the exit code; None if it is another one.

    Args:
        words: Behind `taskmesh probe`.
        environ: The variables of the process.
    """
    given = environ.get("TASKMESH_PROBES", "")
    if len(words) > 1 or not given or not set(words) <= {"--live", "--ready"}:
        return None
    from taskmesh.config.values import probes

    try:
        told = ask(url_for(probes(given), LIVE if words == ["--live"] else READY))
    except CannotAsk as error:
        os.write(2, f"taskmesh probe: {error}\n".encode())
        return EXIT_USAGE if isinstance(error, NobodyNamed) else 1
    except ValueError:
        return None  # the command says what is wrong with the setting
    os.write(1, f"{told.text}\n".encode())
    return int(told.status != 200)

"""Ask a server something: one command on a connection of its own, in the words of RESP."""

from __future__ import annotations

import socket
from typing import IO
from urllib.parse import urlsplit

ANSWER_S = 30.0


class ServerError(Exception):
    """The server answered with an error."""


def command(url: str, *words: str) -> str:
    """Send one command, and return its reply as text (simple, integer and bulk replies)."""
    with connect(url) as connection:
        packed = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            packed.append(b"$%d\r\n%b\r\n" % (len(data), data))
        connection.sendall(b"".join(packed))
        with connection.makefile("rb") as stream:
            return _read(stream)


def connect(url: str) -> socket.socket:
    """Return a connection to `redis://host:port/...` or `unix://path`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_S)
        connection.connect(parts.path)
        return connection
    return socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=ANSWER_S)


def _read(stream: IO[bytes]) -> str:
    line = stream.readline().decode().rstrip()
    if line.startswith("-"):
        raise ServerError(line[1:])
    if line.startswith("$"):
        return stream.read(int(line[1:]) + 2)[:-2].decode()
    return line[1:]


def info(url: str, section: str) -> dict[str, str]:
    """Return `INFO section`."""
    lines = command(url, "INFO", section).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def server_cpu_seconds(url: str) -> float:
    """Return the CPU time that the server has used."""
    found = info(url, "cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def server_version(url: str) -> str:
    """Return product and version."""
    found = info(url, "server")
    if "valkey_version" in found:
        return f"Valkey {found['valkey_version']}"
    return f"Redis {found['redis_version']}"

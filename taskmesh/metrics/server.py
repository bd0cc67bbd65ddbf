"""Serves probes and metrics over HTTP: a socket that is bound at once, and a thread that answers.

What answers is called in threads of the server's own, so it reads what other threads write and changes nothing.
Whoever asks slowly or not at all (`asking`), or keeps his connection, holds up nobody else.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskmesh.errors import ConfigError
from taskmesh.metrics.asking import Asking

log = logging.getLogger("taskmesh.metrics")

#: A client that says nothing for so long is left.
CLIENT_S = 5.0
#: Clients that are answered at once. Where there are more, one that takes it slowly is left for the next.
AT_ONCE_MAX = 16
#: How long the next one waits for those who need but a moment.
MOMENT_S = 0.05
PLAIN, JSON = "text/plain; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks.

    Attributes:
        path: Without the query.
        query: What stands behind the question mark.
        accept: Which types of answer he takes.
    """

    path: str
    query: str
    accept: str

    @property
    def wants_json(self) -> bool:
        """Whether the answer is to be JSON."""
        return JSON in self.accept or "json" in self.query.split("&") or "json=1" in self.query.split("&")


@dataclass(frozen=True, slots=True)
class Answer:
    """What he is told."""

    status: int
    body: str
    kind: str = PLAIN


Answering = Callable[[Request], Answer]
#: Answers one who has asked: his connection, his address, the head of his request.
Handling = Callable[[socket.socket, Any, bytes], object]

#: Host and port; a host that is empty stands for all addresses of the machine.
Place = tuple[str, int]


def place_of(where: str) -> Place:
    """Return host and port of what the setting `probes` says, as it was read: `host:port`."""
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)


class ProbeServer:
    """One server."""

    def __init__(self, place: Place, answer: Answering) -> None:
        """Bind the socket; `start` has it served.

        Args:
            place: Where; port 0 for any that is free.
            answer: Answers requests, in several threads at once.

        Raises:
            ConfigError: It cannot be bound.
        """
        self._answer = answer
        self._socket = _bound(place)
        self._at_once = threading.Semaphore(AT_ONCE_MAX)
        # who is being waited for, to take the answer; the oldest first
        self._slow: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        self.port: int = self._socket.getsockname()[1]
        host = f"[{place[0]}]" if ":" in place[0] else place[0] or "*"
        self.url = f"http://{host}:{self.port}"
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to serve."""
        # here, for the thread may only get to it when the socket is closed again
        asking = Asking(self._socket)
        threading.Thread(target=self._serve, args=(asking,), name="taskmesh-probes", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._closed.set()
        # which wakes the thread that waits for somebody
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            log.debug("the socket of the probes: %s", error)
        self._socket.close()

    def _serve(self, asking: Asking) -> None:
        handle = _handler(self._answer_meanwhile)  # imports what a worker's first task need not wait for
        try:
            while not self._closed.is_set():
                try:
                    for client, address, head in asking.wait(CLIENT_S):
                        self._begin(handle, client, address, head)
                except OSError as error:
                    if not self._closed.is_set():
                        log.warning("probes cannot be answered for a moment: %s", error)
                        self._closed.wait(1.0)
        finally:
            asking.close()

    def _begin(self, handle: Handling, client: socket.socket, address: Any, head: bytes) -> None:
        """Have somebody answered who has asked."""
        if not self._at_once.acquire(timeout=MOMENT_S):
            self._leave_one()
            if not self._at_once.acquire(timeout=CLIENT_S):
                client.close()
                return
        try:
            threading.Thread(target=self._talk, args=(handle, client, address, head), daemon=True).start()
        except RuntimeError as error:  # the machine, or the container, has too many threads just now
            log.warning("a probe from %s is not answered: %s", address, error)
            client.close()
            self._at_once.release()

    def _talk(self, handle: Handling, client: socket.socket, address: Any, head: bytes) -> None:
        try:
            client.settimeout(CLIENT_S)
            handle(client, address, head)
        except OSError as error:
            log.debug("%s went away: %s", address, error)
        finally:
            self._wait_no_more(client)
            client.close()
            self._at_once.release()

    def _answer_meanwhile(self, client: socket.socket, request: Request) -> Answer:
        try:
            return self._answer(request)
        finally:
            with self._lock:
                self._slow[client] = None

    def _wait_no_more(self, client: socket.socket) -> None:
        with self._lock:
            self._slow.pop(client, None)

    def _leave_one(self) -> None:
        """Have the thread end that waits longest for its client."""
        with self._lock:
            client = next(iter(self._slow), None)
            if client is None:
                return
            del self._slow[client]
            with contextlib.suppress(OSError):  # it is gone already
                client.shutdown(socket.SHUT_RDWR)


def _bound(place: Place) -> socket.socket:
    host, port = place
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"probes cannot be served on {host or '*'}:{port}: {error.strerror or error}. Another worker on this host "
            "may have the port: give each its own (--probes), or 0 for any that is free",
            setting="probes",
            value=f"{host}:{port}",
        ) from error


def _handler(answer: Callable[[socket.socket, Request], Answer]) -> Handling:
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        server_version = "TaskMesh"
        sys_version = ""

        def __init__(self, client: socket.socket, address: Any, head: bytes) -> None:
            self._head = head
            super().__init__(client, address, None)  # type: ignore[arg-type]

        def setup(self) -> None:
            super().setup()
            self.rfile.close()
            self.rfile = io.BufferedReader(io.BytesIO(self._head))

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def _reply(self, *, with_body: bool) -> None:
            path, _, query = self.path.partition("?")
            found = _safely(answer, self.connection, Request(path, query, self.headers.get("Accept", "")))
            body = found.body.encode()
            self.send_response(found.status)
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("%s %s", self.client_address[0], format % args)

    return Handler


def _safely(
    answer: Callable[[socket.socket, Request], Answer], client: socket.socket, request: Request
) -> Answer:
    try:
        return answer(client, request)
    except Exception:
        log.exception("%s cannot be answered", request.path)
        return Answer(500, "an error that nobody expected; the log of this process has it\n")

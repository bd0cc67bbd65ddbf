"""A network that misbehaves on order: a proxy in front of a node, whose ways are switched while it runs.

Two threads per connection, one for what is asked and one for what is answered.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from enum import Enum
from typing import Self

#: Answers that drip come in pieces of so many bytes, with a pause after each.
DROP_BYTES = 64
DROP_S = 0.002
_RESET = struct.pack("ii", 1, 0)


class Way(Enum):
    """What becomes of what is sent.

    PASS: It arrives. HOLE: Nothing arrives, either way, until the way is another one; then all that was held
    back does, late. DEAF: What is asked arrives, what is answered is lost. DRIP: Answers come in small pieces.
    CLOSED: Connections are reset as soon as they are made.
    """

    PASS = "pass"
    HOLE = "hole"
    DEAF = "deaf"
    DRIP = "drip"
    CLOSED = "closed"


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, node: socket.socket) -> None:
        self.client = client
        self.node = node
        self.is_open = True
        self.is_silent = False
        self.has_lost = False

    def close(self, *, reset: bool = False) -> None:
        """End both halves; `reset` as a firewall does, with no word of farewell."""
        self.is_open = False
        for end in (self.client, self.node):
            with contextlib.suppress(OSError):  # the other side may have ended it already
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # wakes the thread that reads; in one direction only, it sends no word
                end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on loopback and passes on to a port of loopback; a context manager.

    Attributes:
        port: Where it listens.
        made: How many connections were made through it.
    """

    def __init__(self, to_port: int) -> None:
        """Listen, and pass everything on.

        Args:
            to_port: Of the node.
        """
        self._to_port = to_port
        self._way = Way.PASS
        self._links: set[_Link] = set()
        self._changed = threading.Condition()
        self._closed = False
        self.made = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="proxy", daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    # -- its ways -----------------------------------------------------------------

    def be(self, way: Way) -> None:
        """Change the way of all connections, those to come included."""
        with self._changed:
            self._way = way
            if way is Way.PASS:
                # whoever missed an answer would take the next one for it
                for link in [link for link in self._links if link.has_lost]:
                    link.close(reset=True)
            self._changed.notify_all()

    def reset(self) -> None:
        """Reset every connection."""
        with self._changed:
            for link in list(self._links):
                link.close(reset=True)
            self._changed.notify_all()

    def silence(self) -> None:
        """Let the present connections be half open for ever: nothing arrives, no end is told; new ones are well."""
        with self._changed:
            for link in self._links:
                link.is_silent = True

    def close(self) -> None:
        """End every connection and every thread."""
        with self._changed:
            self._closed = True
            for link in self._links:
                link.close()
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(90)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- passing on ---------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            if self._closed:
                client.close()
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if self._way is Way.CLOSED:
                raise ConnectionRefusedError
            node = socket.create_connection(("127.0.0.1", self._to_port), timeout=5)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        for end in (client, node):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, node)
        with self._changed:
            self._links.add(link)
            self.made += 1
        for source, target, answers in ((client, node, False), (node, client, True)):
            thread = threading.Thread(
                target=self._pump, args=(link, source, target, answers), name="proxy", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _pump(self, link: _Link, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if not self._may_pass(link):
                    break
                if answers and self._loses(link):
                    continue
                if answers and self._way is Way.DRIP:
                    self._drip(link, target, data)
                else:
                    target.sendall(data)
        except OSError:
            link.has_lost = True  # one of the two has gone, and so goes the other
        self._may_pass(link)
        with self._changed:
            link.close()
            self._links.discard(link)
            self._changed.notify_all()

    def _may_pass(self, link: _Link) -> bool:
        """Hold back what a hole holds back, the news that one side has gone included; tell whether the link lives."""
        with self._changed:
            self._changed.wait_for(lambda: not link.is_open or not (self._way is Way.HOLE or link.is_silent))
            return link.is_open

    def _loses(self, link: _Link) -> bool:
        """Tell whether an answer is lost now; nobody may have the way pass on in between, or the link would live on."""
        with self._changed:
            is_lost = self._way is Way.DEAF
            link.has_lost |= is_lost
            return is_lost

    def has_lost(self) -> bool:
        """Tell whether an answer was lost on a connection that is still open."""
        with self._changed:
            return any(link.has_lost for link in self._links)

    def _drip(self, link: _Link, target: socket.socket, data: bytes) -> None:
        for at in range(0, len(data), DROP_BYTES):
            target.sendall(data[at : at + DROP_BYTES])
            with self._changed:
                if self._changed.wait_for(lambda: not link.is_open or self._way is not Way.DRIP, DROP_S):
                    target.sendall(data[at + DROP_BYTES :])
                    return

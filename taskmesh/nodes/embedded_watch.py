"""What a guardian observes of its server: whether anybody needs it."""

from __future__ import annotations

import time

from taskmesh.nodes.embedded_log import log
from taskmesh.nodes.embedded_order import Order
from taskmesh.nodes.embedded_resp import Connection, ErrorReply, Reply

ANSWER_S = 1.0  # how long a busy server may keep the guardian waiting
SCAN_CALLS_PER_LOOK = 50
SCAN_COUNT = 1000

# How the epoch begins of a node that obeys a view, and of one that waits for the next.
_OF_SEVERAL = (b"f", b"x")
# Also while the memory is full: without the epoch nobody could even clear up.
_SET = "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], ARGV[1])"


class Watch:
    """One server as its guardian sees it, over one connection.

    Every method may raise `OSError` (the connection is of no use any more) or `ErrorReply`.

    Nobody uses a node when no other connection is open, none was opened since the last look (a process that
    looks for the node connects for an instant only), and no message waits or runs.
    """

    __slots__ = (
        "_connection",
        "_connections_seen",
        "_cursor",
        "_facts",
        "_idle_since_s",
        "_order",
    )

    def __init__(self, order: Order, connection: Connection) -> None:
        self._order = order
        self._connection = connection
        self._facts: dict[str, int] = {}
        self._connections_seen = -1
        self._idle_since_s = time.monotonic()
        self._cursor = b"0"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def shut_down(self) -> None:
        """Tell the server to end; a closed connection is its only good answer."""
        try:
            self._connection.call("SHUTDOWN", "NOSAVE")
        except ConnectionError:
            return

    def write_epoch(self, generation: int) -> int:
        """Set the epoch of a new server and return its generation.

        A node of several has the epoch of the view that its members agreed upon. It is left as the data has it, for
        a server that was started anew does not count before a view admits it. So it is with a node that was the only
        one once, and has become one of several.

        Args:
            generation: What the file counts. A larger one is used if the data knows this one already:
                somebody lost the file, or put back an old copy of it.
        """
        if self._order.is_one_of_several:
            return generation
        key = f"{self._order.prefix}epoch"
        known = self._connection.call("GET", key)
        if isinstance(known, bytes) and known[:1] in _OF_SEVERAL:
            return generation
        if isinstance(known, bytes) and len(known) == 12:
            generation = max(generation, int(known[:8], 16) + 1)
        self._connection.call("EVAL", _SET, "1", key, f"{generation:08x}0001")
        return generation

    def look(self) -> None:
        """Ask the server how it is."""
        self._facts = _numbers(self._connection.call("INFO", "clients", "stats"))

    def is_idle(self) -> bool:
        """Say whether, by the last look, nobody came for as long as the node should stay."""
        if not self._order.idle_s:
            return False
        if not self.nobody_came():
            self._connections_seen = self._facts["total_connections_received"]
            self.put_off()
            return False
        return time.monotonic() - self._idle_since_s >= self._order.idle_s

    def nobody_came(self) -> bool:
        """Say whether, by the last look, nobody else is connected or was since the look before."""
        others = self._facts["connected_clients"] - 1
        return others == 0 and self._facts["total_connections_received"] == self._connections_seen

    def put_off(self) -> None:
        """Begin to wait for idleness from now."""
        self._idle_since_s = time.monotonic()
        self._cursor = b"0"

    def has_live_messages(self) -> bool | None:
        """Look for indexes of live messages; None if there is more to search than one look should.

        An empty list or set does not exist in the server, so that any key of the kind is an answer. Nothing
        changes between two looks, because nobody is connected: the search goes on where the last one stopped.
        """
        pattern = f"{self._order.prefix}L:*"
        for _ in range(SCAN_CALLS_PER_LOOK):
            reply = self._connection.call("SCAN", self._cursor, "MATCH", pattern, "COUNT", str(SCAN_COUNT))
            if not isinstance(reply, list) or not isinstance(reply[0], bytes):
                raise ConnectionError(f"the server answered a SCAN with {reply!r:.80}")
            self._cursor = reply[0]
            if reply[1]:
                return True
            if self._cursor == b"0":
                return False
        return None


def shut_down(socket_path: str) -> None:
    """Ask whatever server listens there to end."""
    try:
        connection = Connection(socket_path, ANSWER_S)
    except OSError:
        return  # nobody listens
    try:
        connection.call("SHUTDOWN", "NOSAVE")
    except ConnectionError:
        return  # it has ended
    except (OSError, ErrorReply) as error:
        log(f"asked the server at {socket_path} to end: {error}")
    finally:
        connection.close()


def _numbers(reply: Reply) -> dict[str, int]:
    """Return the whole numbers of an INFO."""
    if not isinstance(reply, bytes):
        raise ConnectionError(f"the server answered an INFO with {reply!r:.80}")
    pairs = (line.split(":", 1) for line in reply.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: int(value) for name, value in pairs if value.isdigit()}

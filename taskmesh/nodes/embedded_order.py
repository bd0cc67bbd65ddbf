"""What a guardian is told to start, and how it is told: as the words of its command line."""

from __future__ import annotations

import os

from taskmesh.nodes.embedded_files import NodePaths


class Order:
    """One node to start and guard.

    Attributes:
        mesh: The mesh that it serves.
        prefix: What every key of the mesh begins with.
        server: The binary to execute.
        paths: Where the node keeps what.
        durability: "process", "disk" or "memory".
        maxmemory: The server's limit in bytes.
        idle_s: How long it stays when nobody uses it; 0: for ever.
        owner_fd: The reading end of its owner's pipe, for a private node; -1: nobody owns it.
        report_fd: Where the guardian says how it went; -1: nobody listens any more.
        is_one_of_several: Whether the mesh has further nodes. What its members agree upon numbers the epoch then.
    """

    __slots__ = (
        "durability",
        "idle_s",
        "is_one_of_several",
        "maxmemory",
        "mesh",
        "owner_fd",
        "paths",
        "prefix",
        "report_fd",
        "server",
    )

    def __init__(
        self,
        *,
        mesh: str,
        prefix: str,
        server: str,
        paths: NodePaths,
        durability: str,
        maxmemory: int,
        idle_s: float,
        owner_fd: int,
        report_fd: int,
        is_one_of_several: bool = False,
    ) -> None:
        self.mesh = mesh
        self.prefix = prefix
        self.server = server
        self.paths = paths
        self.durability = durability
        self.maxmemory = maxmemory
        self.idle_s = idle_s
        self.owner_fd = owner_fd
        self.report_fd = report_fd
        self.is_one_of_several = is_one_of_several

    def words(self) -> list[str]:
        """Return the order as arguments of a command."""
        options = {
            "--mesh": self.mesh,
            "--prefix": self.prefix,
            "--server": self.server,
            "--state": self.paths.state,
            "--sockets": self.paths.socket_folder,
            "--durability": self.durability,
            "--maxmemory": str(self.maxmemory),
            "--idle-s": repr(self.idle_s),
            "--owner-fd": str(self.owner_fd),
            "--report-fd": str(self.report_fd),
            "--epoch": "view" if self.is_one_of_several else "generation",
        }
        return [word for option in options.items() for word in option]

    @classmethod
    def from_words(cls, words: list[str]) -> Order:
        """Return the order that `words()` wrote; argparse alone would take as long as the whole start."""
        given = dict(zip(words[::2], words[1::2], strict=True))
        return cls(
            mesh=given["--mesh"],
            prefix=given["--prefix"],
            server=given["--server"],
            paths=NodePaths(given["--state"], given["--sockets"]),
            durability=given["--durability"],
            maxmemory=int(given["--maxmemory"]),
            idle_s=float(given["--idle-s"]),
            owner_fd=int(given["--owner-fd"]),
            report_fd=int(given["--report-fd"]),
            is_one_of_several=given["--epoch"] == "view",
        )

    def report(self, kind: str, text: str = "") -> bool:
        """Tell the starter how it went, once; return False if it is gone.

        Args:
            kind: `ready`; or `busy`, another guardian has the node; `config`, repeating it cannot help;
                `failed`.
            text: Why.
        """
        if self.report_fd < 0:
            return True
        fd, self.report_fd = self.report_fd, -1
        try:
            os.write(fd, f"{kind} {text}".encode("utf-8", "replace")[:60000] + b"\0")
        except BrokenPipeError:
            return False
        finally:
            # The owner of a private node goes on listening: it learns from the end of the pipe that we are
            # gone.
            if self.owner_fd < 0:
                os.close(fd)
        return True


def server_settings(order: Order) -> list[str]:
    """Return the arguments with which the server is started."""
    settings = {
        "port": "0",
        "unixsocket": order.paths.next_socket,
        "unixsocketperm": "700",
        "dir": order.paths.data,
        "logfile": order.paths.server_log,
        "daemonize": "no",
        "supervised": "no",
        "save": "",
        # With an append-only file the write precedes every reply, so that the death of any process loses
        # nothing; what survives power loss is flushed as well, and a file cut short is never loaded silently.
        "appendonly": "no" if order.durability == "memory" else "yes",
        "appendfsync": "always" if order.durability == "disk" else "no",
        "aof-load-truncated": "no" if order.durability == "disk" else "yes",
        "maxmemory": str(order.maxmemory),
        "maxmemory-policy": "noeviction",
        # An idle server looks so often for waits that are over: a child that waits for a message to come due is told
        # 20 ms late at most, not 100. An idle server that does so uses 0.3 % of a core as before.
        "hz": "50",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]

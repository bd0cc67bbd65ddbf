"""The server of one measurement: fresh, private, gone at its end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import resp
from taskmesh.nodes.embedded_private import PrivateNode, start_private
from taskmesh.nodes.embedded_server import MALLOC_TUNABLES
from taskmesh.nodes.server_binary import find_server

#: `--server`: the node that TaskMesh brings, or the path of a server program.
EMBEDDED = "embedded"
DURABILITIES = ("memory", "process", "disk")
MESH = "bench"

START_S = 60.0


class Server:
    """`with Server(...) as server:` runs a server as long as the block.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, program: str = EMBEDDED, *, durability: str = "memory", tcp: bool = False) -> None:
        """Prepare.

        Args:
            program: `embedded`, or a path.
            durability: What of its data survives: nothing (`memory`), its own death (`process`), a power cut (`disk`).
            tcp: Whether it listens on the loopback interface, as every peer can; else on a Unix socket, as the
                embedded node does.
        """
        self._program = program
        self._durability = durability
        self._tcp = tcp
        self._node: PrivateNode | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self.url = ""

    def __enter__(self) -> Self:
        if self._program == EMBEDDED and not self._tcp:
            kept = "memory" if self._durability == "memory" else "process"
            self._node = start_private(MESH, durability="memory" if kept == "memory" else "process")
            self.url = f"unix://{self._node.socket_path}"
            if self._durability == "disk":
                # all that `disk` adds to `process`
                resp.command(self.url, "CONFIG", "SET", "appendfsync", "always")
        else:
            self._start_program()
        return self

    def _start_program(self) -> None:
        environ = dict(os.environ)
        program = self._program
        if program == EMBEDDED:
            # the same program in the same surroundings; only the network differs
            program = str(find_server())
            environ["GLIBC_TUNABLES"] = MALLOC_TUNABLES
        self._folder = Path(tempfile.mkdtemp(prefix="bench-server-"))
        words = ["--save", "", "--dir", str(self._folder), "--loglevel", "warning"]
        words += ["--appendonly", "no" if self._durability == "memory" else "yes"]
        words += ["--appendfsync", "always" if self._durability == "disk" else "no"]
        if self._tcp:
            port = _free_port()
            self.url = f"redis://127.0.0.1:{port}/0"
            words += ["--bind", "127.0.0.1", "--port", str(port)]
        else:
            path = self._folder / "socket"
            self.url = f"unix://{path}"
            words += ["--port", "0", "--unixsocket", str(path)]
        self._process = subprocess.Popen(
            [program, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                resp.command(self.url, "PING")
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise RuntimeError(f"{program} did not start") from None
                time.sleep(0.02)

    def close(self) -> None:
        """End the server, and remove what it wrote."""
        if self._node is not None:
            self._node.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_program(given: str) -> str:
    """Return the server program that `--server` names.

    Raises:
        FileNotFoundError: There is none.
    """
    if given == EMBEDDED:
        return given
    found = shutil.which(given)
    if found is None:
        raise FileNotFoundError(f"--server {given}: no such program on the PATH")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The server of an embedded node as a child process of its guardian."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

CANNOT_EXECUTE = 126  # as a shell says it

_PR_SET_PDEATHSIG = 1

# The server that comes with the wheel uses the C library's allocator. Larger thread caches and a heap that is not
# trimmed at once cut the cost of its scripts by a third; other C libraries ignore the variable.
MALLOC_TUNABLES = (
    "glibc.malloc.tcache_count=2000:glibc.malloc.tcache_max=4096:"
    "glibc.malloc.trim_threshold=268435456:glibc.malloc.top_pad=16777216"
)


class ServerProcess:
    """A server that was started; it dies with this process.

    Attributes:
        pid: Its process id.
        started_s: When it was started, monotonic.
        log_start: How long its log was before it wrote to it.
        ending: What became of it, once `has_ended()`.
    """

    __slots__ = ("_status", "ending", "log_start", "pid", "started_s")

    def __init__(self, binary: str, arguments: list[str], *, keep_fd: int, log_path: str) -> None:
        """Start the server.

        Args:
            binary: What to execute.
            arguments: Its settings.
            keep_fd: A descriptor which it inherits: the lock on its data.
            log_path: Where to write what it says before it has opened its log itself.
        """
        self.ending = ""
        self._status: int | None = None
        log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.log_start = os.fstat(log_fd).st_size
        self.started_s = time.monotonic()
        parent = os.getpid()
        # Loaded before the fork: the child should do as little as possible.
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.pid = os.fork()
        if self.pid:
            os.close(log_fd)
            return
        try:
            # The handlers of the guardian would swallow the very signal that is asked for below.
            signal.set_wakeup_fd(-1)
            for number in (
                signal.SIGTERM,
                signal.SIGINT,
                signal.SIGHUP,
                signal.SIGQUIT,
                signal.SIGPIPE,
                signal.SIGCHLD,
            ):
                signal.signal(number, signal.SIG_DFL)
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)  # it died before we asked
            os.dup2(log_fd, 1)
            os.dup2(log_fd, 2)
            os.set_inheritable(keep_fd, True)
            # For the server alone: the guardian should stay small.
            environment = {**os.environ, "GLIBC_TUNABLES": MALLOC_TUNABLES}
            os.execve(binary, [binary, *arguments], environment)  # noqa: S606 - words, no shell
        except OSError as error:
            os.write(2, f"cannot execute {binary}: {error.strerror}\n".encode("utf-8", "replace"))
        finally:
            os._exit(CANNOT_EXECUTE)

    def has_ended(self) -> bool:
        """Say whether it is gone; `ending` then says how."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return False
            self._status = os.waitstatus_to_exitcode(status)
            if self._status < 0:
                self.ending = f"was ended by {signal.Signals(-self._status).name}"
            else:
                self.ending = f"ended with exit code {self._status}"
        return True

    @property
    def could_not_execute(self) -> bool:
        """Whether the binary could not be started at all."""
        return self._status == CANNOT_EXECUTE

    def send(self, number: int) -> None:
        """Send it a signal; it is our child and not waited for, so that the pid is certainly its own."""
        os.kill(self.pid, number)

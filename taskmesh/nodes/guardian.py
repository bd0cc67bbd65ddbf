# ruff: noqa: PTH104, PTH116
# Pathlib would add a fifth to this process's memory, and 10 ms to its start.
"""The parent of an embedded node's server: `python -m taskmesh.nodes.guardian`.

Theory of operation. The guardian starts the server, and for each start of it

1. raises the generation, in a file flushed to disk: it is the high part of every token, so that nothing a
   server forgot can be mistaken for something new;
2. starts the server on a socket that no client knows, and waits until its data is loaded;
3. writes the epoch (generation, then view 0001) into it, unless the mesh has several nodes;
4. renames the socket to its public name. Whoever can connect finds the right epoch.

Then it watches. A server that died is started again at once. A node without clients and without live messages
is shut down after a while. A private node ends with its owner, whose end of a pipe closes however it dies.

The two never outlive each other for long: the kernel sends the server a SIGTERM when the guardian dies (on
Linux; elsewhere the next guardian finds the orphan's socket and shuts it down), and both hold `data.lock`, so
that a new guardian cannot open the data before the old server has gone.

The process is small because one of it runs for each node: it imports no more than it must, speaks the few
commands it needs itself, and runs no line of user code.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time

from taskmesh.nodes.embedded_files import (
    make_data_folder,
    note_durability,
    open_lock,
    read_card,
    read_generation,
    remove,
    remove_tree,
    start_time,
    tail,
    try_lock,
    write_card,
    write_whole,
)
from taskmesh.nodes.embedded_log import log, rotate_logs
from taskmesh.nodes.embedded_order import Order, server_settings
from taskmesh.nodes.embedded_resp import Connection, ErrorReply
from taskmesh.nodes.embedded_server import ServerProcess
from taskmesh.nodes.embedded_watch import ANSWER_S, Watch, shut_down

TICK_S = 2.0
LOCK_S = 0.5
FIRST_ANSWER_S = 10.0  # the same while it starts, when giving up would mean to start it once more
SHUTDOWN_S = 10.0  # for a clean end, which flushes the data to disk
ORPHAN_S = 10.0
QUICK_DEATH_S = 2.0  # a server that lived shorter than this may be unable to live
RETRY_S_MAX = 5.0
GIVE_UP_S = 600.0

_CANNOT_BE_RETRIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class CannotServe(Exception):
    """The node cannot be started; `kind` is that of `Order.report`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Guardian:
    """One node's guardian; `run` returns when the node has ended."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._paths = order.paths
        self._wake_fd, self._wake_write_fd = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(self._wake_write_fd, False)
        self._stopping = ""  # why
        self._server: ServerProcess | None = None
        self._watch: Watch | None = None
        self._guardian_lock = -1
        self._data_lock = -1
        self._last_trouble = ""

    def run(self) -> None:
        """Start the node, watch it until it should end, and end it.

        Raises:
            CannotServe: The server could not be started.
        """
        self._catch_signals()
        try:
            self._take_locks()
            self._serve()
            if not self._order.report("ready"):
                log("the starter is gone")
            self._guard()
        finally:
            self._end()

    # ------------------------------------------------------------------------------------------ guard

    def _guard(self) -> None:
        quick_deaths = 0
        while not self._stopping:
            self._wait(min(TICK_S, self._order.idle_s / 4 or TICK_S))
            server = self._server
            if server is not None and server.has_ended():
                lived_s = time.monotonic() - server.started_s
                log(f"server {server.pid} {server.ending} after {lived_s:.1f} s")
                quick_deaths = quick_deaths + 1 if lived_s < QUICK_DEATH_S else 0
                self._serve_again(quick_deaths)
            elif not self._stopping:
                self._tick()

    def _serve_again(self, failures: int) -> None:
        """Start the server anew: at once, or a little later when it keeps failing (a full disk may clear)."""
        give_up_s = time.monotonic() + GIVE_UP_S
        while not self._stopping:
            if failures > 1:
                self._pause(min(RETRY_S_MAX, 0.05 * 2.0**failures))
            try:
                self._serve()
                return
            except CannotServe as error:
                self._end_server()
                if time.monotonic() > give_up_s:
                    raise
                log(f"will try again: {error}")
                failures += 1

    def _tick(self) -> None:
        if not self._state_is_ours():
            self._stopping = "its folder was removed"
            return
        if not os.path.lexists(self._paths.socket):
            log("somebody removed the socket: starting the server anew, for nobody can reach this one")
            self._end_server()
            self._serve_again(0)
            return
        rotate_logs(self._paths)
        try:
            if self._watch is None:
                self._watch = Watch(self._order, Connection(self._paths.socket, ANSWER_S))
            self._watch.look()
            if self._watch.is_idle():
                self._stop_if_unused(self._watch)
        except ErrorReply as error:
            self._note_trouble(f"the server answers {error}")  # a full disk, for example
        except OSError as error:
            # A long script, a pause, or its death, of which the next signal tells.
            self._note_trouble(f"no answer from the server: {error}")
            self._disconnect()

    def _stop_if_unused(self, watch: Watch) -> None:
        live = watch.has_live_messages()
        if live is None:
            return  # go on with the next tick
        if live:
            watch.put_off()
            return
        # Nobody can connect from here on. Those who did in the meantime wait in the server's backlog, and it
        # has accepted them before it answers the second look.
        os.rename(self._paths.socket, self._paths.hidden_socket)
        try:
            watch.look()
            watch.look()
            if watch.nobody_came():
                self._stopping = f"no client and no live message for {self._order.idle_s:g} s"
        finally:
            if not self._stopping:
                os.rename(self._paths.hidden_socket, self._paths.socket)

    def _note_trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log(text)
            self._last_trouble = text

    def _state_is_ours(self) -> bool:
        """Say whether our lock file still has its name: who removed the folder may have a new node there."""
        try:
            there = os.stat(self._paths.guardian_lock)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._guardian_lock))

    # ------------------------------------------------------------------------------------------ start

    def _take_locks(self) -> None:
        """Become the only guardian of this node, and wait until nobody else has its data open."""
        lock = open_lock(self._paths.guardian_lock)
        # Those who ask whether there is a guardian hold the lock for an instant: hence more than one try.
        deadline_s = time.monotonic() + LOCK_S
        while not try_lock(lock):
            if time.monotonic() > deadline_s:
                raise CannotServe("busy", "another guardian has this node")
            self._wait(0.005)
        self._guardian_lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {start_time(os.getpid())}\n".encode(), 0)
        self._data_lock = open_lock(self._paths.data_lock)
        if not try_lock(self._data_lock):
            self._end_orphan()

    def _end_orphan(self) -> None:
        """End the server of a guardian that was killed, which has the data open still."""
        log("waiting for the server of an earlier guardian to end")
        for path in (self._paths.socket, self._paths.next_socket):
            shut_down(path)
        card = read_card(self._paths.card) or {}
        pid, started = int(card.get("server_pid", "0")), card.get("server_started", "")
        began_s = time.monotonic()
        killed = False
        while not try_lock(self._data_lock):
            waited_s = time.monotonic() - began_s
            if waited_s > ORPHAN_S or self._stopping:
                raise CannotServe("failed", f"an earlier server of this node (pid {pid}) does not end")
            if waited_s > ORPHAN_S / 2 and not killed and started and start_time(pid) == started:
                log(f"killing server {pid}")
                os.kill(pid, signal.SIGKILL)
                killed = True
            self._wait(0.005)

    def _serve(self) -> None:
        """Start the server, wait until it is ready, and let it be found."""
        try:
            self._start_server()
        except ErrorReply as error:
            raise CannotServe("failed", f"the new server answered {error}{self._said()}") from error
        except ValueError as error:
            raise CannotServe("config", str(error)) from error
        except OSError as error:
            kind = "config" if error.errno in _CANNOT_BE_RETRIED else "failed"
            raise CannotServe(kind, f"{error}{self._said()}") from error

    def _start_server(self) -> None:
        paths = self._paths
        self._disconnect()
        self._server = None
        generation = read_generation(paths.generation) + 1
        write_whole(paths.generation, b"%d\n" % generation, durable=True)
        note_durability(paths.durability, self._order.durability)
        make_data_folder(paths.data)
        remove(paths.next_socket)
        self._server = ServerProcess(
            self._order.server,
            server_settings(self._order),
            keep_fd=self._data_lock,
            log_path=paths.server_log,
        )
        connection = self._first_answer(self._server)
        connection.wait_at_most(FIRST_ANSWER_S)
        self._watch = Watch(self._order, connection)
        higher = self._watch.write_epoch(generation)
        if higher != generation:
            # Nobody can have seen it yet: the socket has not got its name.
            generation = higher
            write_whole(paths.generation, b"%d\n" % generation, durable=True)
        self._watch.look()
        connection.wait_at_most(ANSWER_S)
        write_card(
            paths.card,
            {
                "mesh": self._order.mesh,
                "guardian_pid": str(os.getpid()),
                "server_pid": str(self._server.pid),
                "server_started": start_time(self._server.pid),
                "generation": str(generation),
                "durability": self._order.durability,
                "idle_s": repr(self._order.idle_s),
            },
        )
        os.rename(paths.next_socket, paths.socket)
        self._last_trouble = ""
        log(f"server {self._server.pid} serves, generation {generation}")

    def _first_answer(self, server: ServerProcess) -> Connection:
        """Return a connection to a server that has loaded its data, however long that takes."""
        connection: Connection | None = None
        pause_s = 0.001
        while True:
            if server.has_ended():
                kind = "config" if server.could_not_execute else "failed"
                raise CannotServe(kind, f"{self._order.server} {server.ending}{self._said()}")
            if self._stopping:
                raise CannotServe("failed", f"told to stop while starting: {self._stopping}")
            try:
                connection = connection or Connection(self._paths.next_socket, ANSWER_S)
                if connection.call("PING") == b"PONG":
                    return connection
            except ErrorReply:
                pause_s = 0.02  # it loads its data
            except OSError:
                # It does not listen yet, or is too busy loading to answer.
                if connection is not None:
                    connection.close()
                    connection = None
            self._wait(pause_s)

    def _said(self) -> str:
        if self._server is None:
            return ""
        lines = tail(self._paths.server_log, self._server.log_start)
        return f"; it said:\n{lines}" if lines else ""

    # -------------------------------------------------------------------------------------------- end

    def _end(self) -> None:
        """End the server, take away what points at it, keep the data (or nothing, of a private node)."""
        if self._guardian_lock < 0:
            return  # another guardian has the node; nothing here is ours
        if self._stopping:
            log(f"stopping: {self._stopping}")
        ours = self._state_is_ours()
        if ours:
            remove(self._paths.socket)  # first, so that nobody comes while it goes
        self._end_server()
        if not ours:
            return
        paths = self._paths
        for leftover in (paths.socket, paths.next_socket, paths.hidden_socket, paths.card):
            remove(leftover)
        log("stopped")
        if self._order.owner_fd >= 0:
            remove_tree(paths.state)

    def _end_server(self) -> None:
        server, watch = self._server, self._watch
        if server is None or server.has_ended():
            self._disconnect()
            return
        told = False
        if watch is not None:
            try:
                watch.shut_down()
                told = True
            except (OSError, ErrorReply) as error:
                log(f"the server does not take SHUTDOWN: {error}")
        self._disconnect()
        for number in (0, signal.SIGTERM, signal.SIGKILL) if told else (signal.SIGTERM, signal.SIGKILL):
            if number:
                server.send(number)
            deadline_s = time.monotonic() + SHUTDOWN_S
            while (left_s := deadline_s - time.monotonic()) > 0:
                if server.has_ended():
                    return
                self._wait(min(left_s, 0.05))
        log(f"server {server.pid} does not end")

    def _disconnect(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    # ------------------------------------------------------------------------------------- small parts

    def _catch_signals(self) -> None:
        def stop(number: int, _frame: object) -> None:
            self._stopping = self._stopping or f"received {signal.Signals(number).name}"

        signal.set_wakeup_fd(self._wake_write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # for the wake-up only
        signal.signal(signal.SIGTERM, stop)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(ignored, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the starter may have blocked some

    def _wait(self, timeout_s: float) -> None:
        """Wait for a signal, the owner's end or the time."""
        watched = select.poll()
        watched.register(self._wake_fd, select.POLLIN)
        if self._order.owner_fd >= 0 and not self._stopping:
            watched.register(self._order.owner_fd, select.POLLIN)
        for fd, _event in watched.poll(timeout_s * 1000):
            if fd == self._wake_fd:
                os.read(fd, 4096)
            elif not os.read(fd, 64):
                self._stopping = "its owner has ended"

    def _pause(self, duration_s: float) -> None:
        """Wait for the time, or until told to stop."""
        deadline_s = time.monotonic() + duration_s
        while not self._stopping and (left_s := deadline_s - time.monotonic()) > 0:
            self._wait(left_s)


def main(arguments: list[str]) -> int:
    """Detach from the starter and guard one node until it ends; return the exit code."""
    order = Order.from_words(arguments)
    for fd in (order.report_fd, order.owner_fd):
        if fd >= 0:
            os.set_inheritable(fd, False)
    # The starter waits for this process, and becomes the parent of none that it does not know: no zombie for
    # it to reap, no surprise in its waitpid(-1).
    if os.fork():
        return 0
    os.umask(0o077)
    try:
        Guardian(order).run()
    except CannotServe as error:
        log(f"{error.kind}: {error}")
        order.report(error.kind, str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process: the log and the starter learn of it
        import traceback  # seldom needed, and it brings re and tokenize

        log(traceback.format_exc())
        order.report("failed", f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

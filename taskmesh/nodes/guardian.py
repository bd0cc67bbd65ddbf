"""The parent of an embedded node's server: `python -m taskmesh.nodes.guardian`.

Theory of operation. The guardian starts the server, and for each start of it

1. raises the generation, in a file flushed to disk: it is the high part of every token, so that nothing a server
   forgot can be mistaken for something new;
2. starts the server on a socket that no client knows, and waits until its data is loaded;
3. writes the epoch (generation, then view 0001) into it;
4. renames the socket to its public name. Whoever can connect finds the right epoch.

Then it watches. A server that died is started again at once. A node without clients and without live messages is
shut down after a while. A private node ends with its owner, whose end of a pipe closes whatever it dies of.

The two never outlive each other for long: the kernel sends the server a SIGTERM when the guardian dies (on Linux;
elsewhere the next guardian finds the orphan's socket and shuts it down), and both hold `data.lock`, so that a
new guardian cannot open the data before the old server has gone.

The process is small because one of it runs for each node: it imports no more than it must, speaks the few commands
it needs itself, and never a line of user code.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback

from taskmesh.nodes.embedded_files import (
    NodePaths,
    open_lock,
    read_card,
    read_generation,
    remove,
    remove_tree,
    rotate,
    start_time,
    tail,
    try_lock,
    write_card,
    write_whole,
)
from taskmesh.nodes.embedded_resp import Connection, ErrorReply
from taskmesh.nodes.embedded_server import ServerProcess

TICK_S = 2.0
ANSWER_S = 1.0  # how long a busy server may keep the guardian waiting
SHUTDOWN_S = 20.0  # for a clean end, which flushes the data to disk
ORPHAN_S = 10.0
QUICK_DEATH_S = 2.0  # a server that lived shorter than this probably cannot live
RETRY_S_MAX = 5.0
GIVE_UP_S = 600.0
LOG_BYTES_MAX = 1 << 20
SCAN_CALLS_PER_TICK = 50
SCAN_COUNT = 1000

# Also while the memory is full: these two keys are how clients learn what the matter is.
_SET = "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], ARGV[1])"


class CannotServe(Exception):  # noqa: N818 - says what happened
    """The node cannot be started; `kind` is `busy`, `config` or `failed`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Options:
    """What the starter asked for, from `--name value` pairs (argparse alone would double the start's time)."""

    __slots__ = (
        "durability",
        "idle_s",
        "maxmemory",
        "mesh",
        "owner_fd",
        "paths",
        "prefix",
        "report_fd",
        "server",
    )

    def __init__(self, arguments: list[str]) -> None:
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        self.mesh = given["--mesh"]
        self.prefix = given["--prefix"]
        self.server = given["--server"]
        self.paths = NodePaths(given["--state"], given["--sockets"])
        self.durability = given["--durability"]
        self.maxmemory = int(given["--maxmemory"])
        self.idle_s = float(given["--idle-s"])  # 0: never
        self.report_fd = int(given["--report-fd"])
        self.owner_fd = int(given["--owner-fd"])  # -1: nobody owns it

    def report(self, kind: str, text: str = "") -> None:
        """Tell the starter how it went, once."""
        if self.report_fd < 0:
            return
        try:
            os.write(self.report_fd, f"{kind} {text}\n".encode("utf-8", "replace")[:60000])
        except BrokenPipeError:
            log(f"the starter is gone; would have told it: {kind} {text}")
        if self.owner_fd < 0:
            os.close(self.report_fd)
        # A private node's owner keeps listening: that the pipe closes tells it that we are gone.
        self.report_fd = -1


class Guardian:
    """One node's guardian; `run` returns when the node has ended."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._paths = options.paths
        self._wake_fd, self._wake_write_fd = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(self._wake_write_fd, False)
        self._stopping = ""
        self._server: ServerProcess | None = None
        self._connection: Connection | None = None
        self._guardian_lock = -1
        self._data_lock = -1
        self._pressure = -1
        self._maxmemory = 0
        self._seen_connections = -1
        self._idle_since = time.monotonic()
        self._scan_cursor = b"0"

    # ------------------------------------------------------------------------------------------- life

    def run(self) -> None:
        """Start the node, watch it until it should end, and end it.

        Raises:
            CannotServe: The server could not be started.
        """
        self._catch_signals()
        try:
            self._take_locks()
            self._serve()
            self._options.report("ready")
            self._watch()
        finally:
            self._end()

    def _watch(self) -> None:
        quick_deaths = 0
        while not self._stopping:
            self._wait(min(TICK_S, self._options.idle_s / 4 or TICK_S))
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
            log("the socket was removed by somebody: starting the server anew, for nobody can reach this one")
            self._end_server()
            self._serve_again(0)
            return
        rotate(self._paths.server_log, LOG_BYTES_MAX)
        rotate_own_log(self._paths.guardian_log)
        try:
            if self._connection is None:
                self._connection = Connection(self._paths.socket, ANSWER_S)
            facts = self._information()
            self._tell_pressure(facts)
            if self._is_idle(facts):
                self._stop_if_unused()
        except (OSError, ErrorReply) as error:
            # A long script, a pause, or its death, of which the next signal tells. None of it is idleness.
            log(f"no answer from the server: {error}")
            self._disconnect()
            self._idle_since = time.monotonic()

    def _end(self) -> None:
        """End the server, take away what points at it, keep the data (or nothing, of a private node)."""
        if self._guardian_lock < 0:
            return  # another guardian has the node; nothing here is ours
        ours = self._state_is_ours()
        if ours:
            remove(self._paths.socket)  # first, so that nobody comes while it goes
        if self._stopping:
            log(f"stopping: {self._stopping}")
        self._end_server()
        if not ours:
            return
        for leftover in (
            self._paths.socket,
            self._paths.next_socket,
            self._paths.hidden_socket,
            self._paths.card,
        ):
            remove(leftover)
        log("stopped")
        if self._options.owner_fd >= 0:
            remove_tree(self._paths.state)

    # ------------------------------------------------------------------------------------------ start

    def _take_locks(self) -> None:
        """Become the only guardian of this node, and wait until nobody else has its data open."""
        lock = open_lock(self._paths.guardian_lock)
        # Those who ask whether there is a guardian hold the lock for an instant: hence more than one try.
        deadline = time.monotonic() + 0.5
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise CannotServe("busy", "another guardian has this node")
            self._wait(0.005)
        self._guardian_lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {start_time(os.getpid())}\n".encode(), 0)
        self._data_lock = open_lock(self._paths.data_lock)
        if not try_lock(self._data_lock):
            self._end_orphan()

    def _end_orphan(self) -> None:
        """End the server of a guardian that was killed, which holds the data still."""
        log("waiting for the server of an earlier guardian to end")
        for path in (self._paths.socket, self._paths.next_socket):
            shut_down(path)
        card = read_card(self._paths.card) or {}
        pid = int(card.get("server_pid", "0"))
        began = time.monotonic()
        killed = False
        while not try_lock(self._data_lock):
            waited_s = time.monotonic() - began
            if waited_s > ORPHAN_S or self._stopping:
                raise CannotServe("failed", f"an earlier server of this node (pid {pid}) does not end")
            if (
                waited_s > ORPHAN_S / 2
                and not killed
                and pid
                and start_time(pid) == card.get("server_started")
            ):
                os.kill(pid, signal.SIGKILL)
                killed = True
            self._wait(0.005)

    def _serve(self) -> None:
        """Start the server, wait until it is ready, and let it be found."""
        paths = self._paths
        self._disconnect()
        try:
            generation = read_generation(paths.generation) + 1
        except ValueError as error:
            raise CannotServe("config", str(error)) from error
        write_whole(paths.generation, b"%d\n" % generation, durable=True)
        os.makedirs(paths.data, 0o700, exist_ok=True)
        remove(paths.next_socket)
        self._server = ServerProcess(
            self._options.server,
            server_arguments(self._options),
            keep_fd=self._data_lock,
            log_path=paths.server_log,
        )
        self._connection = self._first_answer(self._server)
        try:
            generation = self._write_epoch(self._connection, generation)
            self._pressure = -1
            self._seen_connections = -1
            self._tell_pressure(self._information())
        except (OSError, ErrorReply) as error:
            raise CannotServe(
                "failed", f"the new server did not take its epoch: {error}{self._said()}"
            ) from error
        write_card(
            paths.card,
            {
                "mesh": self._options.mesh,
                "guardian_pid": str(os.getpid()),
                "server_pid": str(self._server.pid),
                "server_started": start_time(self._server.pid),
                "generation": str(generation),
                "socket": paths.socket,
                "idle_s": str(self._options.idle_s),
            },
        )
        os.rename(paths.next_socket, paths.socket)
        self._idle_since = time.monotonic()
        log(f"server {self._server.pid} serves, generation {generation}")

    def _first_answer(self, server: ServerProcess) -> Connection:
        """Return a connection to a server that has loaded its data, however long that takes."""
        connection: Connection | None = None
        pause_s = 0.001
        while True:
            if server.has_ended():
                kind = "config" if server.could_not_execute else "failed"
                raise CannotServe(kind, f"{self._options.server} {server.ending}{self._said()}")
            if self._stopping:
                raise CannotServe("failed", f"told to stop while starting: {self._stopping}")
            try:
                connection = connection or Connection(self._paths.next_socket, ANSWER_S)
                if connection.call("PING") == b"PONG":
                    return connection
            except ErrorReply:
                pause_s = 0.02  # -LOADING
            except OSError:
                if connection is not None:
                    connection.close()
                    connection = None
            self._wait(pause_s)

    def _write_epoch(self, connection: Connection, generation: int) -> int:
        """Set the epoch and return the generation, which is larger than any that the data has seen."""
        key = f"{self._options.prefix}epoch"
        known = connection.call("GET", key)
        if isinstance(known, bytes) and len(known) == 12 and int(known[:8], 16) >= generation:
            # Somebody lost the file, or put back an old copy of it.
            generation = int(known[:8], 16) + 1
            write_whole(self._paths.generation, b"%d\n" % generation, durable=True)
        connection.call("EVAL", _SET, "1", key, f"{generation:08x}0001")
        return generation

    # ------------------------------------------------------------------------------------------ watch

    def _information(self) -> dict[str, str]:
        reply = self._ask("INFO", "memory", "clients", "stats")
        text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def _tell_pressure(self, facts: dict[str, str]) -> None:
        pressure = int(facts["used_memory"]) * 100 // self._options.maxmemory
        if pressure != self._pressure:
            self._ask("EVAL", _SET, "1", f"{self._options.prefix}pressure", str(pressure))
            self._pressure = pressure

    def _is_idle(self, facts: dict[str, str]) -> bool:
        """Say whether nobody was connected, and nobody connected in between, for long enough."""
        if not self._options.idle_s:
            return False
        now_s = time.monotonic()
        if not self._nobody_came(facts):
            self._seen_connections = int(facts["total_connections_received"])
            self._idle_since = now_s
            self._scan_cursor = b"0"
            return False
        return now_s - self._idle_since >= self._options.idle_s

    def _nobody_came(self, facts: dict[str, str]) -> bool:
        others = int(facts["connected_clients"]) - 1
        return others == 0 and int(facts["total_connections_received"]) == self._seen_connections

    def _stop_if_unused(self) -> None:
        live = self._has_live_messages()
        if live is None:
            return  # go on with the next tick
        if live:
            self._idle_since = time.monotonic()
            return
        # Nobody can connect from here on; those who did while we looked are waiting in the server's backlog, and
        # it has accepted them before it answers the second question.
        os.rename(self._paths.socket, self._paths.hidden_socket)
        self._information()
        if self._nobody_came(self._information()):
            self._stopping = f"no client and no live message for {self._options.idle_s:g} s"
        else:
            os.rename(self._paths.hidden_socket, self._paths.socket)

    def _has_live_messages(self) -> bool | None:
        """Look for a queue or a live index; None when there is more to look through than one tick may."""
        for _ in range(SCAN_CALLS_PER_TICK):
            pattern = f"{self._options.prefix}[Lq]:*"
            reply = self._ask("SCAN", self._scan_cursor, "MATCH", pattern, "COUNT", str(SCAN_COUNT))
            if not isinstance(reply, list) or not isinstance(reply[0], bytes):
                raise ConnectionError(f"the server answered a SCAN with {reply!r:.80}")
            self._scan_cursor = reply[0]
            if reply[1]:
                self._scan_cursor = b"0"
                return True
            if self._scan_cursor == b"0":
                return False
        return None

    def _state_is_ours(self) -> bool:
        """Say whether our lock file is still the one at its path: whoever removed the folder may have a new node."""
        try:
            there = os.stat(self._paths.guardian_lock)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._guardian_lock))

    # -------------------------------------------------------------------------------------------- end

    def _end_server(self) -> None:
        server, connection = self._server, self._connection
        self._connection = None
        if server is None or server.has_ended():
            return
        if connection is not None:
            try:
                connection.call("SHUTDOWN", "NOSAVE")  # no answer is the right answer
            except (OSError, ErrorReply) as error:
                if not isinstance(error, ConnectionError):
                    log(f"SHUTDOWN: {error}")
            connection.close()
        for sign, patience_s in ((0, 0.2), (signal.SIGTERM, SHUTDOWN_S), (signal.SIGKILL, SHUTDOWN_S)):
            if sign:
                server.send(sign)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if server.has_ended():
                    return
                self._wait(0.05)
        log(f"server {server.pid} does not end")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ------------------------------------------------------------------------------------- small parts

    def _ask(self, *words: str | bytes) -> object:
        if self._connection is None:
            raise ConnectionError("not connected")
        return self._connection.call(*words)

    def _said(self) -> str:
        if self._server is None:
            return ""
        lines = tail(self._paths.server_log, self._server.log_start)
        return f"; it said:\n{lines}" if lines else ""

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
        owner_fd = self._options.owner_fd
        if owner_fd >= 0 and not self._stopping:
            watched.register(owner_fd, select.POLLIN)
        for fd, _event in watched.poll(timeout_s * 1000):
            if fd == self._wake_fd:
                os.read(fd, 4096)
            elif not os.read(fd, 64):
                self._stopping = "its owner has ended"

    def _pause(self, duration_s: float) -> None:
        """Wait for the time, or until told to stop."""
        deadline = time.monotonic() + duration_s
        while not self._stopping and (left_s := deadline - time.monotonic()) > 0:
            self._wait(left_s)


# ------------------------------------------------------------------------------------------------ process


def server_arguments(options: Options) -> list[str]:
    """Return the server's settings."""
    durable = options.durability == "process"
    settings = {
        "port": "0",
        "unixsocket": options.paths.next_socket,
        "unixsocketperm": "700",
        "dir": options.paths.data,
        "logfile": options.paths.server_log,
        "daemonize": "no",
        "supervised": "no",
        "save": "",
        "appendonly": "yes" if durable else "no",
        # The write precedes every reply, so that the death of any process loses nothing.
        "appendfsync": "no",
        "aof-load-truncated": "yes",
        "maxmemory": str(options.maxmemory),
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def shut_down(socket_path: str) -> None:
    """Ask whatever server listens there to end."""
    try:
        connection = Connection(socket_path, ANSWER_S)
    except OSError:
        return  # nobody listens
    try:
        connection.call("SHUTDOWN", "NOSAVE")
    except (OSError, ErrorReply) as error:
        log(f"asked the server at {socket_path} to end: {error}")
    finally:
        connection.close()


def log(text: str) -> None:
    """Write a line to the guardian's log, which is its standard error."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(2, f"{now} guardian {os.getpid()}: {text}\n".encode("utf-8", "replace"))


def rotate_own_log(path: str) -> None:
    """Keep the guardian's log bounded."""
    if rotate(path, LOG_BYTES_MAX // 4):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 2)
        os.dup2(fd, 1)
        os.close(fd)


def main(arguments: list[str]) -> int:
    """Detach from the starter and guard one node until it ends; return the exit code."""
    options = Options(arguments)
    for fd in (options.report_fd, options.owner_fd):
        if fd >= 0:
            os.set_inheritable(fd, False)
    # The starter waits for this process, and is the parent of none that it does not know: no zombie for it to
    # reap, no surprise in its waitpid(-1).
    if os.fork():
        return 0
    os.umask(0o077)
    try:
        Guardian(options).run()
    except CannotServe as error:
        log(f"{error.kind}: {error}")
        options.report(error.kind, str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process: the log and the starter learn of it
        log(traceback.format_exc())
        options.report("failed", f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A RabbitMQ of the tests' own: the server of Debian's package, with folders, ports and a name that nobody else has.

It costs some seconds of computing to start one. So all tests of a run share one, each with a virtual host of its own,
and only those that harm the server itself start another. Operators' commands are said over Erlang's own protocol
(`erl_call`), in milliseconds: `rabbitmqctl` takes seconds each time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.faults.server import free_port
from tests.support import wait_until

#: Set where CI cannot have it: its tests are then skipped, and fail otherwise.
WITHOUT = "TASKMESH_TEST_WITHOUT_RABBITMQ"
#: What is said to it has this word in front, as every Erlang node demands.
COOKIE = "taskmesh"
#: A machine that has far too much to do starts it as slowly as that.
START_S = 120.0
#: Where packages put what they do not put on the PATH; the script on the PATH changes the account, which needs root.
_FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/lib/erlang/bin")
_calls = count(1)
_PROGRAMS = ("rabbitmq-server", "epmd", "erl_call")
_CONFIGURATION = """\
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 1MB
loopback_users = none
"""


def find_rabbitmq() -> dict[str, str]:
    """Return where the programs are; skip the test if one is missing, and fail it in CI."""
    path = os.pathsep.join((*_FOLDERS, os.environ.get("PATH", os.defpath)))
    found = {name: where for name in _PROGRAMS if (where := shutil.which(name, path=path))}
    missing = [name for name in _PROGRAMS if name not in found]
    if missing:
        reason = f"no {', '.join(missing)} here: install rabbitmq-server (apt-get install rabbitmq-server)"
        if os.environ.get("CI") and not os.environ.get(WITHOUT):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one server listens, on loopback."""

    amqp: int
    erlang: int
    names: int


class RabbitMQ:
    """One server; its disk outlives its processes.

    Attributes:
        folder: With its data and what it has said.
        ports: The same over all its lives.
    """

    def __init__(self, folder: Path, ports: Ports | None = None) -> None:
        """Prepare; `start` starts it.

        Args:
            folder: For its data and log.
            ports: Where one listens that runs already.
        """
        self._programs = find_rabbitmq()
        self.folder = folder
        self.ports = ports or Ports(free_port(), free_port(), free_port())
        self.name = f"rabbit{self.ports.amqp}@localhost"
        folder.mkdir(parents=True, exist_ok=True)

    def url(self, vhost: str = "/", *, user: str = "guest", password: str = "guest") -> str:
        """Return the address of a virtual host."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.ports.amqp}/{quote(vhost, safe='')}"

    def said(self) -> str:
        """Return what it has logged."""
        return (self.folder / "said").read_text("utf-8", "replace")

    # -- its life -----------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until clients can connect."""
        self.try_to_start()
        wait_until(self._runs, START_S, f"RabbitMQ runs; see {self.folder}/said", every_s=0.2)

    def try_to_start(self) -> None:
        """Start it, and do not wait."""
        (self.folder / "rabbitmq.conf").write_text(_CONFIGURATION)
        (self.folder / "plugins").write_text("[].")
        environ = self._environ()
        if not self._lives("names"):
            port = str(self.ports.names)
            self._spawn("names", ["epmd", "-port", port, "-address", "127.0.0.1"], environ)
        self._spawn("server", ["rabbitmq-server"], environ)

    def _environ(self) -> dict[str, str]:
        taken = {
            name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        folder = str(self.folder)
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return taken | {
            "HOME": folder,
            "ERL_EPMD_PORT": str(self.ports.names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.erlang),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            # it does not compute while it waits, and nobody but this machine can reach it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-setcookie {COOKIE} +sbwt none +sbwtdcpu none {loopback}",
            # or a shell would stand between it and us
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, name: str, words: list[str], environ: dict[str, str]) -> None:
        """Start a program that may outlive this process, as another one of the run may go on using it."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        pid = os.posix_spawn(
            self._programs[words[0]],
            words,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.folder / "said"), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        (self.folder / f"{name}.pid").write_text(str(pid))

    def _lives(self, name: str) -> psutil.Process | None:
        """Return one of its two processes, if that lives."""
        try:
            process = psutil.Process(int((self.folder / f"{name}.pid").read_text()))
            return process if process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def _runs(self) -> bool:
        assert self._lives("server"), f"RabbitMQ has ended; it said:\n{self.said()}"
        return self._listens() and self._call("rabbit:is_running().").strip() == "{ok, true}"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.ports.amqp)):
                return False
            # a port that is free may by chance be given to the probe, which then meets itself
            return bool(probe.getsockname() != probe.getpeername())

    def send(self, number: int) -> None:
        """Send a signal to the server."""
        process = self._lives("server")
        assert process is not None, "RabbitMQ does not run"
        process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and wait for that; `start` brings it back with what is on its disk."""
        self._end("server", signal.SIGKILL)

    def stop(self) -> None:
        """Have it stop as an operator would, and wait for that."""
        self._end("server", signal.SIGTERM)

    def _end(self, name: str, number: int) -> None:
        process = self._lives(name)
        if process is not None:
            process.send_signal(number)
            wait_until(lambda: self._has_ended(name), START_S, f"{name} of RabbitMQ has ended")

    def _has_ended(self, name: str) -> bool:
        process = self._lives(name)
        if process is None:
            # whoever started it is to collect it: that may be another process, which is not to be waited for
            with suppress(ChildProcessError, FileNotFoundError):
                os.waitpid(int((self.folder / f"{name}.pid").read_text()), os.WNOHANG)
        return process is None

    def close(self) -> None:
        """Kill what lives of it."""
        try:
            self._end("server", signal.SIGKILL)
        finally:
            self._end("names", signal.SIGKILL)

    def outlive(self, pid: int) -> None:
        """Have it end when another process has, however that ends."""
        names = (self.folder / "names.pid").read_text()
        self.do(
            'case filelib:is_dir("/proc/self") of false -> no; true -> spawn(fun Watch() ->'
            f' case filelib:is_dir("/proc/{pid}") of true -> timer:sleep(2000), Watch();'
            f' false -> os:cmd("kill {names}"), erlang:halt(0) end end) end.'
        )

    # -- what operators do --------------------------------------------------------

    def do(self, erlang: str) -> str:
        """Have the server do something, and return what comes of it, as Erlang writes it.

        Args:
            erlang: An expression, or several, with the full stop; what may be done twice.
        """
        # on a busy machine the way to it may take longer than `erl_call` waits, which then says nothing
        answer = wait_until(
            lambda: self._call(erlang).strip(), START_S, f"an answer to {erlang}", every_s=0.5
        )
        assert answer.startswith("{ok, "), f"{erlang}\nRabbitMQ answered {answer!r}"
        return answer.removeprefix("{ok, ").removesuffix("}")

    def _call(self, erlang: str) -> str:
        return subprocess.run(
            # under a name of its own: of two with one name the first would be cut off
            [
                self._programs["erl_call"],
                "-h",
                f"call{os.getpid()}x{next(_calls)}",
                "-c",
                COOKIE,
                "-n",
                self.name,
                "-e",
            ],
            input=f"{erlang}\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env=self._environ(),
        ).stdout

    def add_vhost(self, name: str) -> str:
        """Make a virtual host, and return its address."""
        self.do(
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).'
        )
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        self.do(f'rabbit_vhost:delete(<<"{name}">>, <<"tests">>).')

    def delete_queue(self, vhost: str, name: str) -> None:
        """Delete a queue with all that is in it, as soon as somebody has made it."""
        lookup = f'rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{name}">>))'
        wait_until(lambda: "not_found" not in self.do(f"{lookup}."), what=f"there is a queue {name}")
        # it may be gone: what is not answered in time is said again
        self.do(
            f'case {lookup} of {{ok, Q}} -> rabbit_amqqueue:delete(Q, false, false, <<"tests">>);'
            " {error, not_found} -> gone end."
        )

    def connections(self, vhost: str) -> int:
        """Return how many connections there are to a virtual host."""
        return int(self.do(f"length({self._connections(vhost)})."))

    def close_connections(self, vhost: str) -> None:
        """Close all connections to a virtual host, as `rabbitmqctl close_all_connections` does."""
        self.do(f'rabbit_networking:close_connections({self._connections(vhost)}, "an operator closes it").')

    def _connections(self, vhost: str) -> str:
        facts = "rabbit_networking:connection_info_all([pid, vhost])"
        return f'[P || [{{pid, P}}, {{vhost, <<"{vhost}">>}}] <- {facts}]'

    def messages(self, vhost: str, queue: str) -> int:
        """Return how many messages of a queue are ready or out."""
        return int(
            self.do(
                f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)), '
                "[{messages, N}] = rabbit_amqqueue:info(Q, [messages]), N."
            )
        )

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Have it count as short of memory: it reads no more from who has published something."""
        self._set_memory("0")
        try:
            wait_until(
                lambda: self.do("rabbit_alarm:get_alarms().") != "[]", what="RabbitMQ raises its alarm"
            )
            yield
        finally:
            self._set_memory("{absolute, 2000000000}")
            wait_until(lambda: self.do("rabbit_alarm:get_alarms().") == "[]", what="RabbitMQ ends its alarm")

    def _set_memory(self, value: str) -> None:
        self.do(f"vm_memory_monitor:set_vm_memory_high_watermark({value}).")


@contextmanager
def shared(folder: Path, watched: int) -> Iterator[RabbitMQ]:
    """Share one server with other processes of the same run; the last of them ends it.

    Args:
        folder: The same for all of them.
        watched: A process with which the whole run ends.
    """
    find_rabbitmq()
    folder.mkdir(parents=True, exist_ok=True)
    facts, mark = folder / "ports.json", folder / f"used-by-{os.getpid()}"
    with _locked(folder):
        if facts.exists():
            server = RabbitMQ(folder, Ports(**json.loads(facts.read_text())))
        else:
            server = _started(folder, watched)
            facts.write_text(json.dumps(asdict(server.ports)))
        mark.touch()
    try:
        yield server
    finally:
        with _locked(folder):
            mark.unlink()
            if not list(folder.glob("used-by-*")):
                facts.unlink()
                server.close()


def _started(folder: Path, watched: int) -> RabbitMQ:
    server = RabbitMQ(folder)
    try:
        server.start()
        server.outlive(watched)
    except BaseException:
        server.close()
        raise
    return server


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

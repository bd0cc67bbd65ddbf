"""Signals to stop that come while a worker starts: at any moment of it they mean what they mean later."""

from __future__ import annotations

import signal
import subprocess
import sys

import msgspec
import pytest

from taskmesh.cli.start import command_of
from taskmesh.worker.options import WorkerOptions

#: Python imports this first: it sends the process a signal when that imports a certain module.
SENDER = """
    import os, sys

    where, module, signum = os.environ["EARLY"].rsplit(",", 2)

    class Sender:
        def find_spec(self, name, path=None, target=None):
            if name == module and where in sys.orig_argv:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), int(signum))
            return None

    sys.meta_path.insert(0, Sender())
"""

#: An app during whose import the worker is stopped, and which is imported only when the supervisor has gone.
STOPPING_APP = """
    import os, signal, socket, sys
    from taskmesh import TaskMesh

    mesh = TaskMesh("shop")
    os.kill(os.getppid(), signal.SIGTERM)
    with socket.socket(fileno=os.dup(int(sys.argv[1]))) as wire:
        assert wire.recv(1) == b""
"""


def sending(shell, where: str, module: str, signum: int) -> dict[str, str]:
    shell.write("early/sitecustomize.py", SENDER)
    path = f"{shell.folder / 'early'}:{shell.environ['PYTHONPATH']}"
    return {"EARLY": f"{where},{module},{int(signum)}", "PYTHONPATH": path}


@pytest.mark.parametrize("command", ["worker", "up"])
@pytest.mark.parametrize("module", ["click", "taskmesh.worker.supervisor"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_stopped_while_it_imports_ends_well(shell, command, module, signum):
    shell.write("app.py")
    ended = shell.run(command, "app.py", **sending(shell, command, module, signum))
    assert ended.err == ""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_a_program_started_ends_as_well(shell, signum):
    shell.write("app.py")
    options = msgspec.json.encode(WorkerOptions(app="app:mesh", path=(str(shell.folder),))).decode()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "taskmesh.worker", options],
        env=shell.environ | sending(shell, options, "msgspec", signum),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_template_heeds_no_signal_to_the_whole_group(shell, signum):
    """The terminal sends Ctrl-C to all: the supervisor decides."""
    shell.write("app.py")
    ended = shell.run(
        "worker", "app.py", "--burst", "-c", "1", **sending(shell, "taskmesh.cli.template", "msgspec", signum)
    )
    assert "Traceback" not in ended.err


def test_a_child_of_its_own_heeds_no_ctrl_c_either(shell):
    shell.write("app.py")
    variables = sending(shell, "taskmesh.cli.child", "msgspec", signal.SIGINT)
    ended = shell.run("worker", "app.py", "--burst", "-c", "1", TASKMESH_START_METHOD="spawn", **variables)
    assert "Traceback" not in ended.err


def test_a_template_whose_supervisor_has_gone_says_nothing(shell):
    shell.write("app.py", STOPPING_APP)
    said = shell.run("worker", "app.py").err.splitlines()
    # on a busy machine it may be killed before it has ended, and the supervisor says so
    assert [line for line in said if "the template has not ended within" not in line] == []


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["worker", "app:mesh"], "worker"),
        (["-A", "worker", "status"], "status"),
        (["--app=app:mesh", "up"], "up"),
        (["call", "worker"], "call"),
        (["--help"], ""),
        (["-A"], ""),
    ],
)
def test_the_command_is_told_from_its_words(words, command):
    assert command_of(words) == command
